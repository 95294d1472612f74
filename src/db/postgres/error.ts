/** An error of PostgreSQL's, or of the way to it. Its message may quote a row: it is for `cause`, never for a log. */
export class PostgresError extends Error {
  override readonly name = 'PostgresError';
  /** `POSTGRES_` with the SQLSTATE, or with what the operating system calls it. */
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }

  /**
   * Whether the connection is lost, and with it the transaction, the locks and the settings of its session. 08P01 is about one message,
   * such as a text with U+0000.
   */
  get isLoss(): boolean {
    return !/^POSTGRES_(?!57P0|08(?!P01)|25P0[34])[0-9A-Z]{5}$/.test(this.code);
  }
}

/** An error of the driver's as one of PostgreSQL's. Without a code: the driver says so when the connection is gone. */
export function postgresError(error: unknown): PostgresError {
  if (error instanceof PostgresError) return error;
  if (!(error instanceof Error)) return new PostgresError(String(error), 'POSTGRES_CONNECTION');
  const { code } = error as { readonly code?: unknown };
  return new PostgresError(error.message, `POSTGRES_${typeof code === 'string' ? code : 'CONNECTION'}`);
}
