/*
 * Rates of the configuration and User-Agent headers: what is read must be whole, and a rate that
 * was read must limit.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include "crash/agent.h"
#include "crash/rate.h"

#define PLACES 64
#define NOW (INT64_C(1700000000) * APR_USEC_PER_SEC)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return apr_initialize();
}

static void check_rate(const char *text, const char *key, size_t key_size)
{
    const char *burst = strchr(text, ' ');
    char *rate_text = strndup(text, burst ? (size_t)(burst - text) : strlen(text));
    sal_rates_t *table = sal_rates_open(calloc(1, sal_rates_size(PLACES)), PLACES);
    sal_rate_t rate;
    int n = 0;

    if (sal_rate_parse(&rate, rate_text, burst ? burst + 1 : NULL) && rate.every) {
        if (rate.burst < 1 || rate.every < 1) {
            abort();
        }
        while (n <= 2000 && sal_rate_take(table, key, key_size, &rate, NOW, NULL, NULL)) {
            n++;
        }
        if (n != (rate.burst < 2001 ? rate.burst : 2001)) {
            abort();
        }
    }
    free(table);
    free(rate_text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    const char *family;

    memcpy(text, data, size);
    text[size] = '\0';
    family = sal_agent_family(text);
    if (strlen(family) > 15 || !*family) {
        abort();
    }
    check_rate(text, (const char *)data, size);
    free(text);
    return 0;
}
