import { DataTypes } from 'sequelize';

export const up = ({ context }) => context.addColumn('orders', 'placed_at', { type: DataTypes.TEXT });
export const down = ({ context }) => context.removeColumn('orders', 'placed_at');
