export const up = async ({ context: db }) => {
  db.exec('ALTER TABLE orders ADD COLUMN placed_at TEXT');
};

export const down = async ({ context: db }) => {
  db.exec('ALTER TABLE orders DROP COLUMN placed_at');
};
