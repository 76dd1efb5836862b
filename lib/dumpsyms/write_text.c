/*
 * Records to text, on several threads: demangling costs more than anything else here.
 *
 * Work is cut into pieces of a few hundred records. A thread takes the next piece, makes its text,
 * waits for its turn and writes it, so that the text is the same with any number of threads and no
 * more of it is in memory than a piece for each thread.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "dumpsyms/write_private.h"

enum { PIECE = 256 };

typedef struct press_t press_t;
typedef void piece_fn(dump_buf_t *b, const dump_text_t *t, uint32_t from, uint32_t to);

struct press_t {
    FILE *out;
    const dump_text_t *t;
    piece_fn *make;
    uint32_t records, taken, written; /* taken, written: pieces */
    apr_status_t rv;
    pthread_mutex_t lock;
    pthread_cond_t turn;
};

static void add_text(dump_buf_t *b, const char *s)
{
    dump_buf_add(b, s, strlen(s));
}

static void add_hex(dump_buf_t *b, uint64_t v)
{
    char digits[16];
    size_t at = sizeof(digits);

    do {
        digits[--at] = "0123456789abcdef"[v & 15];
        v >>= 4;
    } while (v != 0);
    dump_buf_add(b, digits + at, sizeof(digits) - at);
}

static void add_decimal(dump_buf_t *b, uint32_t v)
{
    char digits[10];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    dump_buf_add(b, digits + at, sizeof(digits) - at);
}

static void add_clean(dump_buf_t *b, char *s)
{
    size_t n = 0;

    for (const char *c = s; *c != '\0'; c++) {
        if ((unsigned char)*c >= 0x20 && *c != 0x7f) {
            s[n++] = *c;
        }
    }
    s[n] = '\0';
    if (n > 0 && s[strspn(s, " ")] != '\0') {
        dump_buf_add(b, s, n);
    } else {
        add_text(b, "<name omitted>");
    }
}

void dump_text_name(dump_buf_t *b, const dump_name_t *name)
{
    char *text = name->text == NULL ? NULL
                 : name->plain      ? strdup(name->text)
                                    : dump_demangle(name->text);

    if (text == NULL) {
        add_text(b, "<name omitted>");
        return;
    }
    if (!sal_utf8_valid(text, strlen(text))) {
        apr_pool_t *p = NULL;

        if (apr_pool_create(&p, NULL) == APR_SUCCESS) {
            free(text);
            text = strdup(sal_utf8_clean(name->text, strlen(name->text), p));
            apr_pool_destroy(p);
        }
    }
    if (text != NULL) {
        add_clean(b, text);
    }
    free(text);
}

static void add_inlines(dump_buf_t *b, const dump_text_t *t, dump_unpack_t *u)
{
    dump_site_t site;
    bool first, any = false;

    while (dump_unpack_site(u, &site, &first)) {
        if (first) {
            add_text(b, any ? "\nINLINE " : "INLINE ");
            add_decimal(b, site.depth);
            add_text(b, " ");
            add_decimal(b, site.call_line);
            add_text(b, " ");
            add_decimal(b, t->file_number[site.call_file]);
            add_text(b, " ");
            add_decimal(b, t->origin_number[site.origin]);
            any = true;
        }
        add_text(b, " ");
        add_hex(b, site.addr);
        add_text(b, " ");
        add_hex(b, site.size);
    }
    if (any) {
        add_text(b, "\n");
    }
}

static void add_line(dump_buf_t *b, const dump_text_t *t, const dump_line_t *line, uint64_t end)
{
    add_hex(b, line->addr);
    add_text(b, " ");
    add_hex(b, end - line->addr);
    add_text(b, " ");
    add_decimal(b, line->line);
    add_text(b, " ");
    add_decimal(b, t->file_number[line->file]);
    add_text(b, "\n");
}

static void add_lines(dump_buf_t *b, const dump_text_t *t, dump_unpack_t *u, uint64_t end)
{
    dump_line_t line, next;
    bool more = dump_unpack_line(u, &line);

    while (more) {
        more = dump_unpack_line(u, &next);
        add_line(b, t, &line, more ? next.addr : end);
        line = next;
    }
}

static void add_func(dump_buf_t *b, const dump_text_t *t, const dump_func_t *f)
{
    dump_unpack_t u;

    add_text(b, f->multiple ? "FUNC m " : "FUNC ");
    add_hex(b, f->addr);
    add_text(b, " ");
    add_hex(b, f->size);
    add_text(b, " 0 ");
    dump_text_name(b, &f->name);
    add_text(b, "\n");
    dump_unpack_start(&u, f);
    add_inlines(b, t, &u);
    add_lines(b, t, &u, f->addr + f->size);
}

static void add_public(dump_buf_t *b, const dump_public_t *s)
{
    /* A C symbol keeps ".cold": without DWARF nothing else tells the part from the whole. */
    dump_name_t name = { s->name, s->name != NULL && !dump_is_mangled(s->name) };

    add_text(b, s->multiple ? "PUBLIC m " : "PUBLIC ");
    add_hex(b, s->addr);
    add_text(b, " 0 ");
    dump_text_name(b, &name);
    add_text(b, "\n");
}

static void items_piece(dump_buf_t *b, const dump_text_t *t, uint32_t from, uint32_t to)
{
    for (; from < to; from++) {
        uint32_t item = t->item[from];

        if ((item & DUMP_ITEM_PUBLIC) != 0) {
            add_public(b, &t->publics->sym[item & ~DUMP_ITEM_PUBLIC]);
        } else {
            add_func(b, t, &t->funcs->func[item]);
        }
    }
}

static void origins_piece(dump_buf_t *b, const dump_text_t *t, uint32_t from, uint32_t to)
{
    for (; from < to; from++) {
        add_text(b, "INLINE_ORIGIN ");
        add_decimal(b, from);
        add_text(b, " ");
        dump_text_name(b, &t->funcs->origins[t->origin_order[from]]);
        add_text(b, "\n");
    }
}

/* Waits for the turn of this piece and writes it. */
static void piece_write(press_t *press, uint32_t piece, const dump_buf_t *b)
{
    pthread_mutex_lock(&press->lock);
    while (press->written != piece) {
        pthread_cond_wait(&press->turn, &press->lock);
    }
    if (b->failed && press->rv == APR_SUCCESS) {
        press->rv = APR_ENOMEM;
    }
    if (press->rv == APR_SUCCESS && b->n > 0 && fwrite(b->p, 1, b->n, press->out) != b->n) {
        press->rv = APR_FROM_OS_ERROR(errno);
    }
    press->written++;
    pthread_cond_broadcast(&press->turn);
    pthread_mutex_unlock(&press->lock);
}

static void *press_run(void *baton)
{
    press_t *press = baton;
    dump_buf_t b = { NULL, 0, 0, false };

    for (;;) {
        uint32_t piece, from, to;

        pthread_mutex_lock(&press->lock);
        piece = press->taken;
        from = piece * PIECE;
        if (from >= press->records || press->rv != APR_SUCCESS) {
            pthread_mutex_unlock(&press->lock);
            break;
        }
        press->taken++;
        pthread_mutex_unlock(&press->lock);
        to = press->records - from > PIECE ? from + PIECE : press->records;
        b.n = 0;
        press->make(&b, press->t, from, to);
        piece_write(press, piece, &b);
    }
    free(b.p);
    return NULL;
}

static apr_status_t press_all(FILE *out, const dump_text_t *t, piece_fn *make, uint32_t records,
                              sal_error_t *err)
{
    press_t press = { .out = out, .t = t, .make = make, .records = records };
    pthread_t helper[64];
    int helpers = 0, want = t->threads - 1 < 64 ? t->threads - 1 : 64;

    pthread_mutex_init(&press.lock, NULL);
    pthread_cond_init(&press.turn, NULL);
    while (helpers < want && (uint32_t)helpers < records / PIECE &&
           pthread_create(&helper[helpers], NULL, press_run, &press) == 0) {
        helpers++;
    }
    press_run(&press);
    while (helpers > 0) {
        pthread_join(helper[--helpers], NULL);
    }
    pthread_cond_destroy(&press.turn);
    pthread_mutex_destroy(&press.lock);
    if (press.rv != APR_SUCCESS) {
        return sal_fail_os(err, press.rv, "cannot write the symbols");
    }
    return APR_SUCCESS;
}

apr_status_t dump_text_origins(FILE *out, const dump_text_t *t, sal_error_t *err)
{
    return press_all(out, t, origins_piece, t->n_origins, err);
}

apr_status_t dump_text_items(FILE *out, const dump_text_t *t, sal_error_t *err)
{
    return press_all(out, t, items_piece, t->items, err);
}
