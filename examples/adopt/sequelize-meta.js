/** The table in which sequelize-cli keeps the names of executed migrations, without sequelize. */
export const sequelizeMeta = (db) => {
  db.exec('CREATE TABLE IF NOT EXISTS SequelizeMeta (name VARCHAR(255) NOT NULL UNIQUE PRIMARY KEY)');
  return {
    executed: async () => db.prepare('SELECT name FROM SequelizeMeta ORDER BY name').pluck().all(),
    logMigration: async ({ name }) => {
      db.prepare('INSERT INTO SequelizeMeta (name) VALUES (?)').run(name);
    },
    unlogMigration: async ({ name }) => {
      db.prepare('DELETE FROM SequelizeMeta WHERE name = ?').run(name);
    },
  };
};
