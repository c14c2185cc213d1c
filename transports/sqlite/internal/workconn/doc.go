// Package workconn has the write connection as work sees it.
//
// Work gets a *sql.Tx that the journal can take away, also from hung work, and that cannot end the transaction (Face,
// Turn). The fence is SQLite's authorizer for the connection. The writer uses the connection beneath database/sql, by
// prepared statements (Stmt).
package workconn
