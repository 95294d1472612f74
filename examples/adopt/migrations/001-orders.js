export const up = async ({ context: db }) => {
  db.exec('CREATE TABLE orders (id INTEGER PRIMARY KEY, body TEXT NOT NULL, created_at TEXT NOT NULL)');
};

export const down = async ({ context: db }) => {
  db.exec('DROP TABLE orders');
};
