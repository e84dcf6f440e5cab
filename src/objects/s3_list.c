/* Pages of S3's lists: ListObjectsV2 and ListMultipartUploads, of the Amazon S3 API reference.
 *
 *   <ListBucketResult>            <ListMultipartUploadsResult>
 *     <IsTruncated>true|false       <IsTruncated>true|false
 *     <NextContinuationToken>       <NextKeyMarker>, <NextUploadIdMarker>
 *     <Contents>, many of:          <Upload>, many of:
 *       <Key> <Size>                  <Key> <UploadId>
 *       <LastModified>                <Initiated>
 *
 * Elements that are not named here are passed over. */
#include "aws/xml.h"
#include "core/mem.h"
#include "objects/objects_impl.h"
#include "record/timestamp.h"

#include <stdio.h>

struct reading {
    struct s3_page *page;
    struct buf key, upload;
    uint64_t bytes;
    int64_t modified_ns;
    bool inside, sized, dated; /* of the item */
    bool list;                 /* the document is one of the two */
};

static void on_open(void *ctx, struct str name)
{
    struct reading *r = ctx;
    if (str_eq_c(name, "ListBucketResult") || str_eq_c(name, "ListMultipartUploadsResult"))
        r->list = true;
    if (!str_eq_c(name, "Contents") && !str_eq_c(name, "Upload"))
        return;
    r->inside = true;
    r->sized = r->dated = false;
    r->bytes = 0;
    buf_clear(&r->key);
    buf_clear(&r->upload);
}

static enum err keep(struct str name, struct str text, char out[4096])
{
    if (text.n >= 4096)
        return err_set(ERR_LIMIT, "a list's %.*s of %zu bytes", STR_ARG(name), text.n);
    snprintf(out, 4096, "%.*s", STR_ARG(text));
    return OK;
}

static enum err of_page(struct s3_page *p, struct str name, struct str text)
{
    if (str_eq_c(name, "IsTruncated"))
        p->more = str_eq_c(text, "true");
    else if (str_eq_c(name, "NextContinuationToken") || str_eq_c(name, "NextKeyMarker"))
        return keep(name, text, p->next);
    else if (str_eq_c(name, "NextUploadIdMarker"))
        return keep(name, text, p->next_upload);
    return OK;
}

static enum err end_item(struct reading *r, bool upload)
{
    struct s3_listed one = {buf_str(&r->key), buf_str(&r->upload), r->bytes, r->modified_ns};
    r->inside = false;
    if (!one.key.n || !r->dated || (upload ? !one.upload.n : !r->sized))
        return err_set(ERR_INVALID, "a list's item lacks its name, size or time");
    return r->page->fn(r->page->ctx, &one);
}

static enum err of_item(struct reading *r, struct str name, struct str text)
{
    struct time_form form;
    if (str_eq_c(name, "Contents") || str_eq_c(name, "Upload"))
        return end_item(r, str_eq_c(name, "Upload"));
    if (str_eq_c(name, "Key"))
        return buf_add(&r->key, text.p, text.n);
    if (str_eq_c(name, "UploadId"))
        return buf_add(&r->upload, text.p, text.n);
    if (str_eq_c(name, "Size")) {
        r->sized = str_to_u64(text, &r->bytes);
        return r->sized ? OK : err_set(ERR_INVALID, "a list's Size is \"%.*s\"", STR_ARG(text));
    }
    if (str_eq_c(name, "LastModified") || str_eq_c(name, "Initiated")) {
        r->dated = time_parse(text, 0, &form, &r->modified_ns);
        return r->dated ? OK : err_set(ERR_INVALID, "a list's time is \"%.*s\"", STR_ARG(text));
    }
    return OK;
}

static enum err on_close(void *ctx, struct str name, struct str text)
{
    struct reading *r = ctx;
    return r->inside ? of_item(r, name, text) : of_page(r->page, name, str_trim(text));
}

enum err s3_read_page(struct str body, struct s3_page *page)
{
    struct reading r = {.page = page};
    struct xml_calls calls = {.ctx = &r, .open = on_open, .close = on_close};
    page->more = false;
    page->next[0] = page->next_upload[0] = '\0';
    buf_init(&r.key, OBJECTS_KEY_MAX);
    buf_init(&r.upload, OBJECTS_KEY_MAX);
    enum err err = xml_read(body, &calls);
    if (err == OK && !r.list)
        err = err_set(ERR_INVALID, "the answer is no list of S3's");
    if (err == OK && page->more && !page->next[0])
        err = err_set(ERR_INVALID, "a list goes on, and does not say where");
    buf_release(&r.key);
    buf_release(&r.upload);
    return err;
}
