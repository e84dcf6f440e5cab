/* ~/.aws/config and credentials; the JSON with keys from containers and instances. */
#include "aws/credentials_impl.h"
#include "aws/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_of((const char *)data, size);
    struct profiles p = {text, text, "default"};
    struct aws_keys keys = {0};
    if (profile_check(text, "file") != OK)
        CHECK(err_text()[0] != '\0');
    struct str found = profiles_get(&p, NULL, "aws_access_key_id");
    CHECK(found.n <= size);
    found = profiles_get(&p, "other", "region");
    CHECK(found.n <= size);
    if (aws_read_keys_json(text, &keys) == OK) {
        CHECK(keys.access && keys.secret);
        aws_keys_release(&keys);
    }
    return 0;
}
