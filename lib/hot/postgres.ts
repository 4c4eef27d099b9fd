/**
 * The hot store on a Postgres server: `postgres://user@host:port/database?schema=…&sslmode=…`.
 *
 * This file is the way in: one connection that is never silently replaced, and a session that connects again
 * until an outage lasts too long. What is stored, and how, is in `postgres/store.ts`.
 * **Knows** `hot`, `patience`, `failure`, `world`.
 */
import { once } from "node:events";
import { connect as openSocket, isIP, type Socket } from "node:net";
import postgres from "postgres";
import { Misuse, Outage, reasonOf, Refusal } from "../failure.ts";
import type { Hot } from "../hot.ts";
import { Patience } from "../patience.ts";
import type { World } from "../world.ts";
import { microsOf } from "./postgres/copy.ts";
import { type Server, serverOf } from "./postgres/server.ts";
import { openStore } from "./postgres/store.ts";

const CONNECT_MS = 10_000;
/** How long a server may send and take nothing while it owes an answer; beyond that the connection is dead. */
const ANSWER_MS = 60_000;

/** Connects, and creates the tables in the schema. @throws {Misuse} on a URL or password that cannot work */
export async function open(url: string, world: World): Promise<Hot> {
  const server = serverOf(url, world);
  const { user, host, port, database, schema } = server;
  const authority = isIP(host) === 6 ? `[${host}]` : host;
  const path = schema === "public" ? "" : `?options=-csearch_path%3D${schema}`;
  const tryThis = `psql "postgres://${encodeURIComponent(user)}@${authority}:${port}/${database}${path}" -c "select` +
    ` event_time, symbol, price, size, side from trades order by event_time desc limit 5"`;
  const session = new Session(server, world);
  try {
    return await openStore(session, schema, world, tryThis);
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** One connection to the server. It fails for good when its socket closes: nothing outlives a lost transaction. */
export interface Link {
  readonly sql: postgres.Sql;
  /** Runs `COPY … FROM STDIN` and resolves when the server has taken every row. */
  copy(statement: string, pieces: Iterable<Uint8Array>): Promise<void>;
  /** Bytes that went through the connection, either way. */
  passed(): number;
  /** Ends the connection as if it had been lost. */
  sever(reason: string): void;
  close(): Promise<void>;
}

/** A link for writing that is kept, and replaced when lost; `turn` ends when its last work does. */
interface Lane {
  link: Link | null;
  turn: Promise<unknown>;
}
/** Lanes at most: a server works on so many commits at once, beyond which it gains nothing. */
const LANES = 4;

/** Hands out links: some for writing, and any number for reading. */
export class Session {
  /** `host:port/database`, for messages. */
  readonly name: string;
  readonly #server: Server;
  readonly #world: World;
  readonly #closing = new AbortController();
  readonly #lanes: readonly Lane[] = Array.from({ length: LANES }, () => ({ link: null, turn: Promise.resolve() }));

  constructor(server: Server, world: World) {
    this.#server = server;
    this.#world = world;
    this.name = `${server.host}:${server.port}/${server.database}`;
  }

  /**
   * Runs `work` on a lane's link, after what was asked of that lane before. When the link is lost on the way, `work` runs
   * again on a new one, with `again` set: it must look up what the first attempt achieved.
   * @throws {Outage} when the server stays away for longer than the world allows
   */
  write<T>(work: (link: Link, again: boolean) => Promise<T>, number = 0): Promise<T> {
    let again = false;
    const lane = this.#lanes[number % LANES]!;
    const turn = lane.turn.then(() =>
      this.#persist(async () => {
        const link = lane.link ??= await connect(this.#server);
        try {
          return await this.#answered(link, () => work(link, again));
        } catch (error) {
          again ||= isLost(error);
          lane.link = null;
          // Whatever went wrong: closing rolls back, and a new link starts clean.
          await link.close();
          throw error;
        }
      })
    );
    lane.turn = turn.catch(() => {});
    return turn;
  }

  /** A link of the caller's own, to be closed by the caller. @throws {Outage} as for {@linkcode write} */
  read(): Promise<Link> {
    return this.#persist(() => connect(this.#server));
  }

  async close(): Promise<void> {
    this.#closing.abort(new Outage(`Cannot use Postgres "${this.name}": the store was closed`));
    for (const lane of this.#lanes) {
      await lane.turn;
      await lane.link?.close();
      lane.link = null;
    }
  }

  /** Runs `work`; a link that stays silent for too long in the midst of it is taken for lost. */
  async #answered<T>(link: Link, work: () => Promise<T>): Promise<T> {
    const done = new AbortController();
    void this.#watch(link, done.signal);
    try {
      return await work();
    } finally {
      done.abort();
    }
  }

  async #watch(link: Link, done: AbortSignal): Promise<void> {
    const { trying } = this.#world;
    if (trying === undefined) return;
    for (let passed = -1; passed !== link.passed() && !done.aborted;) {
      passed = link.passed();
      await trying.pause(ANSWER_MS, done);
    }
    if (!done.aborted) link.sever(`no answer for ${ANSWER_MS / 1000} s`);
  }

  /** Tries until it works, or the store is closed. */
  #persist<T>(work: () => Promise<T>): Promise<T> {
    const patience = new Patience("postgres", this.#world, (error) => {
      if (!isLost(error)) return { error: this.#explained(error), passes: false };
      const state = `Cannot reach Postgres "${this.name}": ${reasonOf(error)}, must answer`;
      return { error: new Outage(state, { cause: error }), passes: true };
    });
    return patience.persist(work, this.#closing.signal);
  }

  /** What the server objects to, in one line; everything else as it is. */
  #explained(error: unknown): unknown {
    const reason = reasonOf(error);
    if (!(error instanceof postgres.PostgresError)) {
      if (!(error instanceof Error) || !/certificate|altname/i.test(reason)) return error;
      return new Misuse(`Cannot trust Postgres "${this.name}": ${reason}, must have a certificate that verifies`);
    }
    if (/^28/.test(error.code)) {
      return new Misuse(
        `Cannot log in to Postgres "${this.name}" as "${this.#server.user}": ${reason}, must be a role and password that it knows (TAPEDECK_POSTGRES_PASSWORD)`,
      );
    }
    if (/^(3D|42501|3F)/.test(error.code)) {
      return new Misuse(`Cannot use Postgres "${this.name}": ${reason}, must be a database and schema of the role`);
    }
    const where = error.where === undefined ? "" : ` (${reasonOf(error.where)})`;
    return new Refusal(`Cannot use Postgres "${this.name}": ${reason}${where}, must accept what is sound`, {
      cause: error,
    });
  }
}

/** Whether the connection is gone, or the server is not ready: what another connection may mend. */
export function isLost(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  if (typeof code !== "string") return false;
  // Class 08 connection, 53 resources, 57P shutdown, 40 deadlock, 25006 a standby, 25P03 idle for too long.
  if (error instanceof postgres.PostgresError) return /^(08|53|57P|40|25006|25P03)/.test(code);
  return /^(CONNECTION_|CONNECT_|E[A-Z_]+$)/.test(code) && !code.startsWith("ERR_");
}

async function connect(server: Server): Promise<Link> {
  let socket: Socket | null = null;
  let given = false;
  const settings = {
    host: server.host,
    port: server.port,
    user: server.user,
    // A function, since an empty password would be looked up in PGPASSWORD.
    password: () => server.password,
    database: server.database,
    ssl: server.sslmode === "disable" ? false : server.sslmode as "prefer",
    // One socket for one link. The client would replace a lost socket by itself and send the rest of a transaction
    // through the new one, where every statement would commit on its own.
    socket: async () => {
      if (given) throw lost("connection was closed");
      given = true;
      return socket = await socketTo(server);
    },
    max: 1,
    prepare: true,
    fetch_types: false,
    // The URL is the configuration: every setting is given, or the client would look into PG* variables. It reads
    // PGAPPNAME all the same, and heeds it not.
    idle_timeout: 0,
    max_lifetime: null,
    connect_timeout: CONNECT_MS / 1000,
    max_pipeline: 100,
    backoff: () => 0,
    keep_alive: 60,
    debug: false,
    publications: "",
    sslnegotiation: null,
    target_session_attrs: "read-write" as const,
    onnotice: () => {},
    connection: {
      application_name: "tapedeck",
      search_path: server.schema,
      TimeZone: "UTC",
      DateStyle: "ISO",
      synchronous_commit: "on",
      // A writer that was paused in a transaction must not hold the place for ever.
      idle_in_transaction_session_timeout: 60_000,
    },
    types: {
      bigint: { to: 20, from: [20], parse: Number, serialize: String },
      time: { to: 1184, from: [1184], parse: microsOf, serialize: String },
    },
  };
  const sql: postgres.Sql = postgres(settings);
  const close = () => sql.end({ timeout: 0 });
  try {
    await sql`select 1`;
  } catch (error) {
    await close();
    throw error;
  }
  return {
    sql,
    close,
    copy: (statement, pieces) => copyIn(sql, statement, pieces),
    passed: () => (socket?.bytesRead ?? 0) + (socket?.bytesWritten ?? 0),
    sever: (reason) => void socket?.destroy(lost(reason)),
  };
}

/** The client leaves Nagle's delay on, which costs 40 ms and more at every COPY. */
async function socketTo({ host, port }: Server): Promise<Socket> {
  const socket = openSocket({ host, port });
  socket.setNoDelay(true);
  const late = setTimeout(() => socket.destroy(lost(`no connection after ${CONNECT_MS / 1000} s`)), CONNECT_MS);
  try {
    await once(socket, "connect");
  } finally {
    clearTimeout(late);
  }
  // The client reads the name for the certificate here.
  return Object.assign(socket, { host, port });
}

function lost(reason: string): Error {
  return Object.assign(new Error(reason), { code: "CONNECTION_CLOSED" });
}

/**
 * The client settles a COPY when it begins, with the stream, and loses what the server says at its end. It settles the
 * same query a second time then, so the query is given new ears in between.
 */
async function copyIn(sql: postgres.Sql, statement: string, pieces: Iterable<Uint8Array>): Promise<void> {
  const query = sql.unsafe(statement);
  const stream = await query.writable();
  const done = new Promise<void>((resolve, reject) => {
    Object.assign(query, { resolve: () => resolve(), reject });
    stream.on("error", reject);
  });
  done.catch(() => stream.destroy());
  for (const piece of pieces) {
    if (!stream.write(piece)) await Promise.race([once(stream, "drain"), done]);
  }
  stream.end();
  await done;
}
