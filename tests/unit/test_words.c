#include "core/hash.h"
#include "record/words.h"
#include "rows_util.h"

struct listed {
    struct str s;
    struct buf out;
};

static void list_word(void *ctx, size_t from, size_t to)
{
    struct listed *l = ctx;
    if (l->out.n)
        buf_put_byte(&l->out, '|');
    buf_put(&l->out, l->s.p + from, to - from);
}

static void words_are(const char *text, const char *wanted)
{
    struct listed l = {.s = str_c(text)};
    buf_init(&l.out, SIZE_MAX);
    words_each(l.s, list_word, &l);
    assert_str(buf_str(&l.out), wanted);
    buf_release(&l.out);
}

static void test_words(void **state)
{
    words_are("", "");
    words_are("  -- ", "");
    words_are("GET /api/v1?x_1=2", "GET|api|v1|x_1|2");
    words_are("naïve café-Ölü", "naïve|café|Ölü");
    words_are("e\xcc\x81t", "e\xcc\x81t");       /* a combining acute is a mark */
    words_are("ошибка№5", "ошибка|5");           /* the numero sign is a symbol */
    words_are("中文ab", "中|文|ab");             /* ideographs stand alone */
    words_are("カナ漢字x々", "カナ|漢|字|x|々"); /* kana runs, Han does not */
    words_are("\xf0\xa0\x80\x80\xf0\xa0\x80\x81", "\xf0\xa0\x80\x80|\xf0\xa0\x80\x81");
    words_are("a\xff"
              "b\xe4\xb8"
              "c\xed\xa0\x80"
              "d",
              "a|b|c|d");        /* bad bytes are no letters */
    words_are("٣٤ x²", "٣٤|x²"); /* digits of any script */
}

static void folds_to(const char *text, const char *wanted)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    words_fold(str_c(text), &b);
    assert_str(buf_str(&b), wanted);
    buf_release(&b);
}

static void test_fold(void **state)
{
    folds_to("", "");
    folds_to("HeLLo [World] ^_`{|}~@Z", "hello [world] ^_`{|}~@z");
    folds_to("ÄÖÜß ΣΑΣ ЯR", "äöüß σασ яr");
    folds_to("\xe2\x84\xaa\xc4\xb0", "ki"); /* KELVIN SIGN, I WITH DOT ABOVE */
    folds_to("ȺȾ", "ⱥⱦ");                   /* two bytes become three */
    folds_to("\xff\xc3(\xe2\x82", "\xff\xc3(\xe2\x82");
}

/* The claim in words.c that the fast search of predicates stands on. */
static void test_what_folds_into_ascii(void **state)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    unsigned found = 0;
    for (uint32_t cp = 0x80; cp < 0x110000; cp++) {
        if (cp >= 0xd800 && cp < 0xe000)
            continue;
        char bytes[4];
        size_t n = 0;
        if (cp >= 0x10000) {
            bytes[n++] = (char)(0xf0 | cp >> 18);
            bytes[n++] = (char)(0x80 | (cp >> 12 & 63));
        } else if (cp >= 0x800) {
            bytes[n++] = (char)(0xe0 | cp >> 12);
        }
        bytes[n] = (char)(cp >= 0x800 ? 0x80 | (cp >> 6 & 63) : 0xc0 | cp >> 6);
        bytes[n + 1] = (char)(0x80 | (cp & 63));
        struct str s = {bytes, n + 2};
        buf_clear(&b);
        words_fold(s, &b);
        assert_int_equal(words_char_bytes(s, 0), s.n);
        if ((uint8_t)b.p[0] < 128) {
            found++;
            assert_true(cp == 0x130 || cp == 0x212a);
        }
        assert_int_equal(words_char_at(s, 0), words_char_at(buf_str(&b), 0));
        assert_int_equal(words_char_before(s, s.n), words_char_at(s, 0));
    }
    assert_int_equal(found, 2);
    buf_release(&b);
}

static void test_edges(void **state)
{
    struct str s = STR("ab, é中文d");
    /* bytes: a0 b1 ,2 space3 é4-5 中6-8 文9-11 d12 */
    static const struct {
        size_t at;
        bool edge;
    } want[] = {{0, 1}, {1, 0}, {2, 1}, {3, 1}, {4, 1}, {6, 1}, {9, 1}, {12, 1}, {13, 1}};
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        if (words_edge(s, want[i].at) != want[i].edge)
            fail_msg("edge at %zu", want[i].at);
    }
    assert_false(words_edge(STR("aé"), 1));
    assert_false(words_edge(STR("éa"), 2));
    assert_true(words_edge(STR("a\xff"
                               "b"),
                           1));
    assert_false(words_char_at(s, 99));
    assert_false(words_char_before(s, 0));
}

struct hashes {
    uint64_t hash[64];
    unsigned n;
};

static void take_hash(void *ctx, uint64_t hash)
{
    struct hashes *h = ctx;
    assert_true(h->n < 64);
    h->hash[h->n++] = hash;
}

static void test_hashes(void **state)
{
    struct hashes h = {0};
    words_hashes(STR("Error ERROR, ÄRGER 中x "
                     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA "
                     "Zé"),
                 take_hash, &h);
    assert_int_equal(h.n, 7);
    assert_true(h.hash[0] == hash64(STR("error")) && h.hash[1] == h.hash[0]);
    assert_true(h.hash[2] == hash64(STR("ärger")));
    assert_true(h.hash[3] == hash64(STR("中")));
    assert_true(h.hash[4] == hash64(STR("x")));
    assert_true(h.hash[5] == words_hash(STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                            "aaaaaaaaaaaaaaaaaaaaaaaa")));
    assert_true(h.hash[6] == hash64(STR("zé")));
    assert_true(strchr(words_version(), '.') != NULL);
}

/* Words of any length, in texts of any bytes: as they are one by one, folded letter by letter. */
struct one_by_one {
    struct str text;
    uint64_t hash[12000];
    unsigned n, met;
};

static void keep_word(void *ctx, size_t from, size_t to)
{
    struct one_by_one *w = ctx;
    struct str word = str_of(w->text.p + from, to - from);
    char folded[12000];
    bool ascii = true;
    for (size_t i = 0; i < word.n; i++) {
        char c = word.p[i];
        ascii &= (unsigned char)c < 128;
        folded[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    if (!words_quantity(word))
        w->hash[w->n++] = ascii ? hash64(str_of(folded, word.n)) : words_hash(word);
}

static void meet_word(void *ctx, uint64_t hash)
{
    struct one_by_one *w = ctx;
    assert_true(w->met < w->n && w->hash[w->met] == hash);
    w->met++;
}

static void test_long_words(void **state)
{
    static const char letters[] = "abcxyzABCXYZ0189_";
    static struct one_by_one w;
    static char text[12000];
    for (int k = 0; k < 3000; k++) {
        size_t n = k % 100 ? rnd_below(200) : rnd_below(12000);
        for (size_t i = 0; i < n; i++)
            text[i] = (char)(rnd_below(k % 7 ? 40 : 4) ? (uint8_t)letters[rnd_below(17)]
                                                       : rnd_below(k % 2 ? 128 : 256));
        w.text = str_of(text, n);
        w.n = w.met = 0;
        words_each(w.text, keep_word, &w);
        words_hashes(w.text, meet_word, &w);
        assert_int_equal(w.met, w.n);
    }
}

struct told {
    uint64_t hash[4096];
    unsigned n;
};

static void take_told(void *ctx, uint64_t hash)
{
    struct told *t = ctx;
    assert_true(t->n < sizeof(t->hash) / sizeof(*t->hash));
    t->hash[t->n++] = hash;
}

static bool was_told(const struct told *t, uint64_t hash)
{
    for (unsigned i = 0; i < t->n; i++)
        if (t->hash[i] == hash)
            return true;
    return false;
}

/* What was told is left out again and again, and no other word: those that differ in their last
 * byte, in a byte that is none of theirs, or stand in another's place, are told. */
static void test_new_words(void **state)
{
    static struct words_told remembered;
    static struct told all, news;
    static const char text[] = "a ab abc abcd abcde abcdef abcdefg abcdefgh abcdefghi b abcdefgi "
                               "404 404x 15ms 1234567890 éa A AB x_1 0a 0b 00 0 _ ABCDEFGH";
    for (unsigned i = 0; i < 3; i++)
        words_hashes_new(str_c(text), &remembered, take_told, &news);
    words_hashes(str_c(text), take_told, &all);
    for (unsigned i = 0; i < all.n; i++)
        assert_true(was_told(&news, all.hash[i]));
    assert_true(news.n < all.n + 2 * 4);   /* those longer than eight bytes, or not of ASCII */
    for (unsigned i = 0; i < 20000; i++) { /* more than are remembered */
        char word[16];
        int n = snprintf(word, sizeof(word), "w%u", i % 10000);
        news.n = 0;
        words_hashes_new(str_of(word, (size_t)n), &remembered, take_told, &news);
        assert_true(i < 10000 ? news.n == 1 : news.n <= 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_what_folds_into_ascii),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_new_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
