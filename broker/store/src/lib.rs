//! Storage behind one portable SQL text: the engine trait, SQLite, migrations.
