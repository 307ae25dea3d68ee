// What Swift can't import of SQLite: SQLITE_TRANSIENT is a cast, sqlite3_db_config takes variable arguments.
#include <sqlite3.h>
#include <stddef.h>

// The library copies the bytes before this returns; an empty blob is no NULL.
static inline int dep2p_sqlite_bind_blob(sqlite3_stmt *statement, int index, const void *bytes, size_t count) {
    return count == 0 ? sqlite3_bind_zeroblob(statement, index, 0)
                      : sqlite3_bind_blob64(statement, index, bytes, count, SQLITE_TRANSIENT);
}

static inline int dep2p_sqlite_bind_text(sqlite3_stmt *statement, int index, const char *text) {
    return sqlite3_bind_text(statement, index, text, -1, SQLITE_TRANSIENT);
}

static inline int dep2p_sqlite_configure(sqlite3 *database, int option, int value) {
    return sqlite3_db_config(database, option, value, (int *)0);
}
