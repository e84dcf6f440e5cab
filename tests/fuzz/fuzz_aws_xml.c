/* XML answers of AWS: lists of instances and files, portions of log files, STS, errors. */
#include "aws/credentials_impl.h"
#include "aws/rds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str xml = str_of((const char *)data, size);
    struct arena arena;
    struct rds_instances instances = {0};
    struct rds_files files = {0};
    struct rds_portion portion = {0};
    struct aws_keys keys = {0};
    char marker[RDS_MARKER_MAX], code[80];
    arena_init(&arena, 0, NULL);
    buf_init(&portion.data, SIZE_MAX);
    if (rds_read_instances(xml, &arena, &instances, marker) == OK && instances.n)
        CHECK(instances.item[instances.n - 1].id.n > 0);
    if (rds_read_files(xml, &arena, &files, marker) == OK && files.n)
        CHECK(files.item[files.n - 1].name.n > 0);
    if (rds_read_portion(xml, &portion) == OK)
        CHECK(portion.data.n <= size);
    if (aws_read_sts(xml, &keys) == OK)
        aws_keys_release(&keys);
    if (xml_find(xml, "Code", code, sizeof(code)))
        CHECK(strlen(code) < sizeof(code));
    buf_release(&portion.data);
    arena_release(&arena);
    return 0;
}
