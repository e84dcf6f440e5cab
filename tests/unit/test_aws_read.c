/* What is read from outside: profiles, XML, the answers of RDS. */
#include "arena_kit.h"

#include "aws/profile.h"
#include "aws/rds.h"
#include "aws/xml.h"

static void test_profiles(void **state)
{
    struct str text = STR("# comment\n[default]\naws_access_key_id = A ; the key\n"
                          "aws_secret_access_key=se#cret/=\n"
                          "[profile  two words]\nregion = eu-west-1\ns3 =\n  addressing = path\n"
                          "[profile b]\r\nregion=us-east-2\r\n");
    assert_str(profile_find(text, STR("default"), "aws_access_key_id"), "A");
    assert_str(profile_find(text, STR("default"), "AWS_SECRET_ACCESS_KEY"), "se#cret/=");
    assert_null(profile_find(text, STR("default"), "region").p);
    assert_str(profile_find(text, STR("profile two words"), "region"), "eu-west-1");
    assert_null(profile_find(text, STR("profile two words"), "addressing").p);
    assert_str(profile_find(text, STR("profile b"), "region"), "us-east-2");
    assert_ok(profile_check(text, "f"));
    assert_err(profile_check(STR("[a]\nsecret words\n"), "f"), ERR_INVALID, "f:2");
}

static void test_every_byte_of_log_text_arrives(void **state)
{
    struct rds_portion p = {0};
    struct buf xml, want;
    buf_init(&xml, SIZE_MAX);
    buf_init(&want, SIZE_MAX);
    buf_init(&p.data, SIZE_MAX);
    buf_put_c(&xml, "<R xmlns=\"x\"><DownloadDBLogFilePortionResult><LogFileData>");
    for (int i = 0; i < 256; i++) {
        buf_put_byte(&want, (char)i);
        if (i == '<' || i == '&' || i == '>')
            buf_printf(&xml, "&#%d;", i);
        else
            buf_put_byte(&xml, (char)i);
    }
    buf_put_c(&want,
              "\xf4\x8f\xbc\x81\xe2\x82\xac\x01\x1b\r\n\xed\xa0\x80 & &#x1; \xf0\x9f\x98\x80");
    buf_put_c(&xml, "\xf4\x8f\xbc\x81\xe2\x82\xac&#x1;&#27;&#xD;\n\xed\xa0\x80 &amp; &amp;#x1; "
                    "\xf0\x9f\x98\x80");
    buf_put_c(&xml, "</LogFileData><Marker>8:1234</Marker>"
                    "<AdditionalDataPending>true</AdditionalDataPending>"
                    "</DownloadDBLogFilePortionResult></R>");
    assert_ok(rds_read_portion(buf_str(&xml), &p));
    assert_int_equal(p.data.n, want.n);
    assert_memory_equal(p.data.p, want.p, want.n);
    assert_string_equal(p.marker, "8:1234");
    assert_true(p.pending);
    buf_release(&p.data);
    buf_release(&xml);
    buf_release(&want);
}

static void test_lists(void **state)
{
    struct rds_instances list = {0};
    struct rds_files files = {0};
    char marker[RDS_MARKER_MAX];
    assert_ok(rds_read_instances(
        STR("<R><X><Marker>next</Marker><DBInstances><DBInstance>"
            "<DBInstanceIdentifier>db-1</DBInstanceIdentifier><Engine>aurora-mysql</Engine>"
            "<DBSubnetGroup><Subnets><DBInstanceIdentifier>no</DBInstanceIdentifier></Subnets>"
            "</DBSubnetGroup><DBParameterGroups><DBParameterGroup><DBParameterGroupName>pg"
            "</DBParameterGroupName></DBParameterGroup></DBParameterGroups>"
            "<TagList><Tag><Key>env</Key><Value>prod</Value></Tag></TagList></DBInstance>"
            "<DBInstance><DBInstanceIdentifier>db-2</DBInstanceIdentifier></DBInstance>"
            "</DBInstances></X></R>"),
        &arena, &list, marker));
    assert_int_equal(list.n, 2);
    assert_str(list.item[0].id, "db-1");
    assert_str(list.item[0].engine, "aurora-mysql");
    assert_str(list.item[0].parameters, "pg");
    assert_int_equal(list.item[0].n_tags, 1);
    assert_str(list.item[0].tag[0].value, "prod");
    assert_str(list.item[1].id, "db-2");
    assert_int_equal(list.item[1].n_tags, 0);
    assert_string_equal(marker, "next");
    assert_ok(rds_read_files(
        STR("<R><DescribeDBLogFiles><DescribeDBLogFilesDetails><LastWritten>1754235045000"
            "</LastWritten><LogFileName>slowquery/mysql-slowquery.log</LogFileName><Size>12</Size>"
            "</DescribeDBLogFilesDetails></DescribeDBLogFiles></R>"),
        &arena, &files, marker));
    assert_int_equal(files.n, 1);
    assert_str(files.item[0].name, "slowquery/mysql-slowquery.log");
    assert_int_equal(files.item[0].size, 12);
    assert_int_equal(files.item[0].last_written_ms, 1754235045000);
    assert_string_equal(marker, "");
}

static void test_bad_xml(void **state)
{
    struct rds_files files = {0};
    char marker[RDS_MARKER_MAX], code[20];
    assert_err(rds_read_files(STR("<R><Size>x</Size></R>"), &arena, &files, marker), ERR_INVALID,
               "Size");
    assert_err(rds_read_files(STR("<R>\n<a></b></R>"), &arena, &files, marker), ERR_INVALID,
               "XML:2:");
    assert_err(
        rds_read_files(STR("<!DOCTYPE a [<!ENTITY b \"c\">]><R>&b;</R>"), &arena, &files, marker),
        ERR_INVALID, "document type");
    assert_true(xml_find(STR("<E><Code> A </Code><Code>B</Code></E>"), "Code", code, sizeof(code)));
    assert_string_equal(code, "A");
    assert_false(xml_find(STR("<html>502"), "Code", code, sizeof(code)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_profiles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_byte_of_log_text_arrives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_xml, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
