/*
 * The table of metrics: an open hash of fixed size. A place is taken once, by a compare-and-swap,
 * and never given back; numbers are atomic.
 */
#include "process/metrics.h"

#include <stdatomic.h>
#include <string.h>

enum { PLACES = 256, NAME_BYTES = 40, LABEL_BYTES = 56 };
enum { FREE, TAKEN, READY };

typedef struct place_t {
    atomic_int state, kind;
    char name[NAME_BYTES], label[LABEL_BYTES];
    atomic_uint_fast64_t count;
    atomic_int_fast64_t sum, last, max;
} place_t;

struct sal_metrics_t {
    place_t place[PLACES];
};

size_t sal_metrics_size(void)
{
    return sizeof(sal_metrics_t);
}

sal_metrics_t *sal_metrics_at(void *memory)
{
    return memory;
}

static unsigned hash(const char *name, const char *label)
{
    unsigned h = 5381;

    for (; *name; name++) {
        h = h * 33 ^ (unsigned char)*name;
    }
    for (; *label; label++) {
        h = h * 33 ^ (unsigned char)*label;
    }
    return h;
}

/* The text is cut to its place, and so is what it is compared with. */
static void put_text(char *to, size_t size, const char *text)
{
    size_t n = strnlen(text, size - 1);

    memcpy(to, text, n);
    to[n] = '\0';
}

static bool take(place_t *place, const char *name, const char *label, sal_metric_kind_t kind)
{
    int was = FREE;

    if (!atomic_compare_exchange_strong(&place->state, &was, TAKEN)) {
        return false;
    }
    put_text(place->name, NAME_BYTES, name);
    put_text(place->label, LABEL_BYTES, label);
    atomic_store(&place->kind, (int)kind);
    atomic_store(&place->state, READY);
    return true;
}

/* NULL if the table is full. A place that another process is just taking is passed over. */
static place_t *place_of(sal_metrics_t *table, const char *name, const char *label,
                         sal_metric_kind_t kind)
{
    unsigned at = hash(name, label);

    for (int i = 0; i < PLACES; i++) {
        place_t *place = &table->place[(at + (unsigned)i) % PLACES];

        if (atomic_load(&place->state) == FREE && take(place, name, label, kind)) {
            return place;
        }
        if (atomic_load(&place->state) == READY && !strncmp(place->name, name, NAME_BYTES - 1) &&
            !strncmp(place->label, label, LABEL_BYTES - 1)) {
            return place;
        }
    }
    return NULL;
}

void sal_metrics_add(sal_metric_kind_t kind, const char *name, const char *label, int64_t value,
                     void *baton)
{
    place_t *place = place_of(baton, name, label, kind);
    int_fast64_t max;

    if (!place) {
        place = place_of(baton, "metrics.lost", "", SAL_METRIC_COUNT);
        value = 1;
    }
    if (!place) {
        return;
    }
    atomic_fetch_add(&place->count, 1);
    atomic_fetch_add(&place->sum, value);
    atomic_store(&place->last, value);
    max = atomic_load(&place->max);
    while (value > max && !atomic_compare_exchange_weak(&place->max, &max, value)) {
    }
}

bool sal_metrics_get(const sal_metrics_t *table, size_t i, sal_metric_t *out)
{
    sal_metrics_t *t = (sal_metrics_t *)table;
    size_t n = 0;

    for (size_t k = 0; k < PLACES; k++) {
        place_t *place = &t->place[k];

        if (atomic_load(&place->state) != READY || n++ != i) {
            continue;
        }
        *out = (sal_metric_t){ .kind = (sal_metric_kind_t)atomic_load(&place->kind),
                               .name = place->name,
                               .label = place->label,
                               .count = atomic_load(&place->count),
                               .sum = atomic_load(&place->sum),
                               .last = atomic_load(&place->last),
                               .max = atomic_load(&place->max) };
        return true;
    }
    return false;
}
