/**
 * The engine: duckdb-wasm in this thread, loaded by the first who needs it. Here stands which one writes, and how a file's
 * column is typed.
 *
 * **Knows** `table`, `decimal`.
 */
import { fileURLToPath } from "node:url";
import type { createDuckDB, DuckDBConnection } from "@duckdb/duckdb-wasm/blocking";
import type * as Arrow from "apache-arrow";
import { FRACTION_DIGITS_MAX, INTEGER_DIGITS_MAX } from "../decimal.ts";
import type { Kind } from "../table.ts";

/** Engine and bundle that write; another one may give other bytes for the same rows, so ledgers record it. */
export const ENGINE = "duckdb-wasm 1.28.0 eh";
const ENGINE_VERSION = "v0.9.1";

/** What a column is in a file. */
export const TYPES: Readonly<Record<Kind, string>> = {
  ...{ int: "BIGINT", time: "TIMESTAMPTZ", name: "VARCHAR", text: "VARCHAR", list: "VARCHAR" },
  decimal: `DECIMAL(${INTEGER_DIGITS_MAX + FRACTION_DIGITS_MAX},${FRACTION_DIGITS_MAX})`,
};

/** The path of the engine's `.wasm`, which a sandboxed Worker must be allowed to read. */
export function wasmPath(): string {
  return fileURLToPath(import.meta.resolve("@duckdb/duckdb-wasm/dist/duckdb-eh.wasm"));
}

/** The engine asks the disk about a name before it finds what is registered; a sandbox lets it ask only below this one. */
const SANDBOX = ":memory:/";

export interface Engine {
  readonly db: Awaited<ReturnType<typeof createDuckDB>>;
  readonly connection: DuckDBConnection;
  readonly fileProtocol: number;
  readonly arrow: typeof Arrow;
}
let loaded: Promise<Engine> | undefined;
let serial = 0;

/** The engine of this thread. */
export function engine(): Promise<Engine> {
  return loaded ??= load();
}

/** A name for a file that the engine has not seen yet: it believes that it knows one that it saw. */
export function fresh(prefix: string): string {
  return `${SANDBOX}${prefix}${++serial}.parquet`;
}

async function load(): Promise<Engine> {
  const [duckdb, arrow] = await Promise.all([import("@duckdb/duckdb-wasm/blocking"), import("apache-arrow")]);
  // One bundle under both names: whatever the engine believes of its host, it takes the pinned one.
  const bundle = { mainModule: wasmPath(), mainWorker: "" };
  const db = await duckdb.createDuckDB({ mvp: bundle, eh: bundle }, new duckdb.VoidLogger(), duckdb.NODE_RUNTIME);
  await db.instantiate();
  if (db.getVersion() !== ENGINE_VERSION) {
    throw new Error(`Cannot use engine "${db.getVersion()}": is not the tested one, must be ${ENGINE_VERSION}`);
  }
  return { db, connection: db.connect(), fileProtocol: duckdb.DuckDBDataProtocol.NODE_FS, arrow };
}

/** Loads the engine, some 0.3 s, unless it is loaded. */
export async function warm(): Promise<void> {
  await engine();
}
