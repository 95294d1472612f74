import { Sequelize } from 'sequelize';

export const storage = process.env.ORDERS_DB ?? 'orders.db';
export const sequelize = new Sequelize({ dialect: 'sqlite', storage, logging: false });
