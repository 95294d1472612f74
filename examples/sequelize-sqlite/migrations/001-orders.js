import { DataTypes } from 'sequelize';

export const up = ({ context }) =>
  context.createTable('orders', {
    id: { type: DataTypes.INTEGER, primaryKey: true },
    body: { type: DataTypes.TEXT, allowNull: false },
  });

export const down = ({ context }) => context.dropTable('orders');
