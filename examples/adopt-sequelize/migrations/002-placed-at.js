import { DataTypes } from 'sequelize';

export const up = async ({ context: queryInterface }) => {
  await queryInterface.addColumn('orders', 'placed_at', { type: DataTypes.TEXT });
};

export const down = async ({ context: queryInterface }) => {
  await queryInterface.removeColumn('orders', 'placed_at');
};
