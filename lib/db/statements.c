/*
 * The one definition of every SQL statement of the library, and the list the tests prepare.
 */
#include "db/db.h"

#define SAL_STMT(name, sql) const sal_stmt_t sal_s_##name = { #name, sql };
#include "db/statements.h"
#undef SAL_STMT

static const sal_stmt_t *const all[] = {
#define SAL_STMT(name, sql) &sal_s_##name,
#include "db/statements.h"
#undef SAL_STMT
    NULL
};

const sal_stmt_t *const *sal_db_statements(void)
{
    return all;
}
