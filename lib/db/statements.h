/* Every SQL statement, by the room that uses it. No include guard: it is read as an X-macro. */
#include "db/statements/auth.def"
#include "db/statements/books.def"
#include "db/statements/crash.def"
#include "db/statements/process.def"
#include "db/statements/queue.def"
#include "db/statements/rawsymbols.def"
#include "db/statements/search.def"
#include "db/statements/symbols.def"
