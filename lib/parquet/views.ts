/**
 * Views over files, and questions to them: each holder has names of its own, so that several may ask in one thread.
 *
 * **In** files that we wrote ourselves, SQL, **Out** answers, and Parquet files that hold all rows of an answer.
 * **Knows** `decimal`, `table`.
 */
import type { DuckDBConnection } from "@duckdb/duckdb-wasm/blocking";
import { canonical } from "../decimal.ts";
import type { Column } from "../table.ts";
import { type Engine, engine, fresh, TYPES } from "./engine.ts";

/** A value of an answer: decimals as canonical text, times in µs, integers as numbers while they are safe. */
export type Value = string | number | bigint | boolean | null;
export type Answer = Readonly<Record<string, Value>>;

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** Views by name, for as long as they are held. */
export class Views implements Disposable {
  readonly #engine: Engine;
  readonly #connection: DuckDBConnection;
  readonly #names: string[] = [];
  readonly #files = new Map<string, readonly string[]>();

  private constructor(engine: Engine) {
    this.#engine = engine;
    this.#connection = engine.db.connect();
  }

  static async open(): Promise<Views> {
    return new Views(await engine());
  }

  /**
   * Names the union of some files. A file is its path or its bytes: the engine opens paths for reading and writing, so a
   * sandbox must allow both.
   * @throws {Error} when a file is missing
   */
  async define(name: string, files: readonly (string | Uint8Array)[]): Promise<void> {
    const { db, fileProtocol } = this.#engine;
    // The engine opens for writing whatever it reads, and would make a file that is not there.
    for (const file of files) if (typeof file === "string") await Deno.stat(file);
    // Registered names, since the engine would take a path for a pattern.
    const names = files.map((file) => {
      const name = fresh("q");
      if (typeof file === "string") db.registerFileURL(name, file, fileProtocol, false);
      else db.registerFileBuffer(name, file);
      this.#names.push(name);
      return name;
    });
    this.#files.set(name, names);
    this.run(`CREATE OR REPLACE TEMP VIEW ${name} AS SELECT * FROM read_parquet([${names.map(literal).join(", ")}])`);
  }

  /** What the files of each view are called in SQL, in the order in which they were named. */
  get files(): ReadonlyMap<string, readonly string[]> {
    return this.#files;
  }

  /** Names a view without rows. */
  defineEmpty(name: string, columns: readonly Column[]): void {
    const cells = columns.map((column) => `CAST(NULL AS ${TYPES[column.kind]}) AS "${column.name}"`);
    this.run(`CREATE OR REPLACE TEMP VIEW ${name} AS SELECT ${cells.join(", ")} WHERE false`);
  }

  /** Runs a statement that answers nothing. */
  run(sql: string): void {
    this.#connection.query(sql);
  }

  /** Names and types of a view's columns. */
  shapeOf(view: string): readonly (readonly [name: string, type: string])[] {
    // Of a name, DESCRIBE goes through the whole catalog and takes ten times as long.
    return [...this.#connection.query(`DESCRIBE SELECT * FROM ${view}`)].map((
      { column_name, column_type },
    ) => [column_name, column_type]);
  }

  /** What a SELECT answers. @throws {Error} when it fails, at whatever row */
  ask(sql: string): readonly Answer[] {
    const connection = this.#connection;
    try {
      // A SELECT that fails while it runs answers zero rows; this does raise.
      connection.query(`CREATE OR REPLACE TEMP TABLE answer AS ${sql}`);
      const types = this.shapeOf("answer");
      const columns = types.map(([name, type]) => plain(name, type));
      return [...connection.query(`SELECT ${columns.join(", ")} FROM answer`)].map((row) => {
        const entries = types.map(([name, type]): [string, Value] => [name, valueOf(row[name], type)]);
        return Object.fromEntries(entries);
      });
    } finally {
      connection.query("DROP TABLE IF EXISTS answer");
    }
  }

  /**
   * Writes every row that a SELECT answers into a new Parquet file, a group of rows at a time, and gives their number.
   * @throws {Error} when the query fails, or the folder is not there
   */
  async copy(sql: string, path: string): Promise<number> {
    const { db, fileProtocol } = this.#engine;
    // A path that cannot be written would end the engine.
    await Deno.writeFile(path, new Uint8Array(0));
    const name = fresh("c");
    db.registerFileURL(name, path, fileProtocol, false);
    try {
      const [answer] = [
        ...this.#connection.query(`COPY (${sql}) TO ${literal(name)} (FORMAT PARQUET, COMPRESSION ZSTD)`),
      ];
      return Number(answer?.Count);
    } finally {
      db.dropFile(name);
    }
  }

  [Symbol.dispose](): void {
    this.#connection.close();
    for (const name of this.#names) this.#engine.db.dropFile(name);
  }
}

const NATIVE = /^(?:BOOLEAN|TINYINT|SMALLINT|INTEGER|BIGINT|DOUBLE|VARCHAR)$/;
function plain(name: string, type: string): string {
  const column = `"${name.replaceAll('"', '""')}"`;
  if (NATIVE.test(type)) return column;
  return type.startsWith("TIMESTAMP") ? `epoch_us(${column}) AS ${column}` : `CAST(${column} AS VARCHAR) AS ${column}`;
}

function valueOf(value: Value, type: string): Value {
  if (value === null) return null;
  if (type.startsWith("DECIMAL")) return canonical(String(value));
  const integer = type === "HUGEINT" ? BigInt(String(value)) : value;
  return typeof integer === "bigint" && Number.isSafeInteger(Number(integer)) ? Number(integer) : integer;
}
