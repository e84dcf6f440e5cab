/* What statements are grouped by. The texts are those of MariaDB's performance_schema
 * (DIGEST_TEXT), where names that are words of the language as well are quoted, and signs of
 * literals gone, as MySQL does both. */
#include "test.h"

#include "core/buf.h"
#include "transform/sql_digest.h"

static const struct {
    const char *sql, *text;
} cases[] = {
    {"", ""},
    {"select 1", "SELECT ?"},
    {"insert into a (name,status) values ('x',1),('y',2),('z',-3)",
     "INSERT INTO `a` ( `name` , `status` ) VALUES (...) /* , ... */"},
    {"insert into a (name,status) values ('x',1)",
     "INSERT INTO `a` ( `name` , `status` ) VALUES (...)"},
    {"replace into a (id) values (5),(6)", "REPLACE INTO `a` ( `id` ) VALUES (?) /* , ... */"},
    {"select a.id, A.`name` as N from t1.a where id in (1,2,3) and s in (5) and id not in (1, 'x', "
     "NULL)",
     "SELECT `a` . `id` , `A` . `name` AS `N` FROM `t1` . `a` WHERE `id` IN (...) AND `s` IN (?) "
     "AND `id` NOT IN (...)"},
    {"select count(*), max(id), now(), sleep(0.01), concat(name,'x') from a group by name order by "
     "2 desc limit 10, 20",
     "SELECT COUNT ( * ) , MAX ( `id` ) , NOW ( ) , `sleep` (?) , `concat` ( `name` , ? ) FROM `a` "
     "GROUP BY `name` ORDER BY ? DESC LIMIT ?, ..."},
    {"SELECT /*! STRAIGHT_JOIN */ id from a -- comment\n where id > -5 and id < +7 and st = - 3 "
     "and "
     "id - 1 > 2",
     "SELECT STRAIGHT_JOIN `id` FROM `a` WHERE `id` > ? AND `id` < ? AND `st` = ? AND `id` - ? > "
     "?"},
    {"/*!40101 SET NAMES utf8 */", "SET NAMES `utf8`"},
    {"select 1.5e10, 0x1F, x'ab', b'01', N'abc', 'it''s', \"a\\\"b\", .5, 1., 1e3, 1e-3, 1e+3",
     "SELECT ?, ..."},
    {"select _utf8'abc', true, null", "SELECT (_charset) ? , TRUE , ?"},
    {"select @x := 5, @@global.sort_buffer_size, @@version, @'foo bar', @a.b",
     "SELECT @? := ? , @@`global` . `sort_buffer_size` , @@`version` , @? , @?"},
    {"delete from a where id = 99 # hash comment\n", "DELETE FROM `a` WHERE `id` = ?"},
    {"select * from a a1 where a1.id<=>a2.id and a1.s != 3 and a1.id<>4 and a1.n is not null",
     "SELECT * FROM `a` `a1` WHERE `a1` . `id` <=> `a2` . `id` AND `a1` . `s` != ? AND `a1` . `id` "
     "!= ? AND `a1` . `n` IS NOT NULL"},
    {"select id div 2, id % 3, id << 2, !id, ~id, id || 1, id && 1 from a",
     "SELECT `id` DIV ? , `id` % ? , `id` << ? , ! `id` , ~ `id` , `id` || ? , `id` && ? FROM `a`"},
    {"select date '2020-01-01', interval 1 day + now(), date_add(now(), interval 5 minute)",
     "SELECT `date` ? , INTERVAL ? DAY + NOW ( ) , DATE_ADD ( NOW ( ) , INTERVAL ? MINUTE )"},
    {"(select 1) union all (select 2) union (select 3,4)",
     "( SELECT ? ) UNION ALL ( SELECT ? ) UNION ( SELECT ?, ... )"},
    {"select 1,2,3 from a where (id,st) in ((1,2),(3,4))",
     "SELECT ?, ... FROM `a` WHERE ( `id` , `st` ) IN ( (...) /* , ... */ )"},
    {"call nosuch(1,2)", "CALL `nosuch` (...)"},
    {"select `a`.`id` from `t1`.`a` where `id`=?",
     "SELECT `a` . `id` FROM `t1` . `a` WHERE `id` = ?"},
    {"insert into a values (1,null) on duplicate key update name=values(name), st=st+1",
     "INSERT INTO `a` VALUES (...) ON DUPLICATE KEY UPDATE `name` = VALUES ( `name` ) , `st` = "
     "`st` + ?"},
    {"with c as (select 1 as one) select * from c",
     "WITH `c` AS ( SELECT ? AS `one` ) SELECT * FROM `c`"},
    {"select -1, (-1), (1), (1,2), -id, 5-3, -(5), id-1, id -1 from a",
     "SELECT ? , (?) /* , ... */ , (...) , - `id` , ? - ? , - (?) , `id` - ? , `id` - ? FROM `a`"},
    {"select id from a where id in (-1,-2) or id in (1, id, 3) or id in (1+2)",
     "SELECT `id` FROM `a` WHERE `id` IN (...) OR `id` IN ( ? , `id` , ? ) OR `id` IN ( ? + ? )"},
    {"select left(name,3), mod(id,2), year(d), if(id=1,2,3), substring(name,1,2) from a",
     "SELECT LEFT ( `name` , ? ) , MOD ( `id` , ? ) , YEAR ( `d` ) , IF ( `id` = ?, ... ) , "
     "SUBSTRING ( `name` , ?, ... ) FROM `a`"},
    {"show global variables like 'x%'", "SHOW GLOBAL VARIABLES LIKE ?"},
    {"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
     "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"},
    {"select level, mode, status from t", "SELECT `level` , `mode` , `status` FROM `t`"},
    {"select 1a, 2b.c from 3d", "SELECT `1a` , `2b` . `c` FROM `3d`"},
    {"select t.select, t . from from t", "SELECT `t` . `select` , `t` . `from` FROM `t`"},
    {"select name->'$.x', name->>'$.y' from a", "SELECT `name` -> ? , `name` ->> ? FROM `a`"},
    {"select \xc3\xa4\xc3\xb6 from t where x = '\xff'",
     "SELECT `\xc3\xa4\xc3\xb6` FROM `t` WHERE `x` = ?"},
    {"select 'open", "SELECT ?"},
    {"select `open", "SELECT `open`"},
    {"select 1 /* open", "SELECT ?"},
    {"select 1 --not a comment", "SELECT ? - - NOT `a` `comment`"},
};

static void test_texts(void **state)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        buf_clear(&out);
        buf_put_c(&out, "before ");
        sql_digest_text(str_c(cases[i].sql), &out);
        if (!str_eq_c(str_from(buf_str(&out), 7), cases[i].text))
            fail_msg("%s\n gives\n%.*s\n wanted\n%s", cases[i].sql, STR_ARG(buf_str(&out)),
                     cases[i].text);
    }
    buf_release(&out);
}

static void test_bound(void **state)
{
    struct buf sql, out;
    buf_init(&sql, SIZE_MAX);
    buf_init(&out, SIZE_MAX);
    buf_put_c(&sql, "select ");
    for (int i = 0; i < 5000; i++)
        buf_put_c(&sql, "(\xe2\x82\xac + 1) * ");
    sql_digest_text(buf_str(&sql), &out);
    assert_true(out.n <= SQL_DIGEST_MAX && out.n > SQL_DIGEST_MAX - 16);
    assert_true(str_ends(buf_str(&out), STR(" ...")));
    /* Rows by the thousand are one. */
    buf_clear(&sql);
    buf_clear(&out);
    buf_put_c(&sql, "insert into t values ");
    for (int i = 0; i < 50000; i++)
        buf_put_c(&sql, "(1, 'a'), ");
    buf_put_c(&sql, "(2, 'b')");
    sql_digest_text(buf_str(&sql), &out);
    assert_true(str_eq_c(buf_str(&out), "INSERT INTO `t` VALUES (...) /* , ... */"));
    buf_release(&sql);
    buf_release(&out);
}

static void test_id(void **state)
{
    char id[SQL_DIGEST_ID_BYTES], other[SQL_DIGEST_ID_BYTES];
    sql_digest_id(STR("SELECT ?"), id);
    sql_digest_id(STR("SELECT ??"), other);
    assert_memory_equal(id, "a3a8f2b7cf2a1b0e", sizeof(id));
    assert_memory_not_equal(id, other, sizeof(id));
}

static bool in_quotes(const char *sql)
{
    struct sql_quotes q = {0};
    return sql_in_quotes(&q, str_c(sql));
}

static void test_quoted(void **state)
{
    static const char *const open[] = {"'",    "select 'a", "\"a'", "`a'",    "'a\\'",
                                       "'a''", "/* x",      "''' ", "-- a\n'"};
    static const char *const shut[] = {"",        "select 'a'", "\"a'\"",
                                       "`a\\`",   "'a\\''",     "-- don't",
                                       "# don't", "''''",       "/* ' */ -- \" "};
    for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++)
        if (!in_quotes(open[i]))
            fail_msg("%s is open", open[i]);
    for (size_t i = 0; i < sizeof(shut) / sizeof(*shut); i++)
        if (in_quotes(shut[i]))
            fail_msg("%s is shut", shut[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_id),
        cmocka_unit_test(test_quoted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
