/**
 * What only Postgres can do to the hot store: lose the connection at any moment, refuse a password, belong to others.
 * The connection is cut by a proxy that counts what passes, at every place once.
 */
import assert from "@std/assert";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import postgres from "postgres";
import { Outage } from "./failure.ts";
import { openHot } from "./hot.ts";
import { canonical } from "./decimal.ts";
import { microsOf, piecesOf, timeText } from "./hot/postgres/copy.ts";
import { migrationsOf } from "./schema.ts";
import type { Column, Row } from "./table.ts";
import { pause } from "./patience.ts";
import { trying } from "../testdata/waiting.ts";
import type { World } from "./world.ts";

const NOON = Date.UTC(2024, 7, 8, 12);
const DAY_MICROS = 86_400_000_000;
const world: World = { now: () => NOON, env: () => undefined, report: () => {}, retryForMs: 0 };
const place = { sink: "sink-hot", topic: "ticks.valid", partition: 0 };
const server = Deno.env.get("POSTGRES_URL");
if (server === undefined) console.log("hot_postgres_test: most cases are skipped, POSTGRES_URL is not set");

/** A case that needs the server; gets a URL with a schema of its own, dropped afterwards, and a client. */
function real(name: string, test: (url: string, sql: postgres.Sql, schema: string) => Promise<void>): void {
  Deno.test({
    name,
    ignore: server === undefined,
    sanitizeOps: true,
    sanitizeResources: true,
    async fn() {
      const schema = `tapedeck_own_${Deno.pid}`;
      const sql = postgres(server!, {
        max: 1,
        onnotice: () => {},
        fetch_types: false,
        connection: { search_path: schema },
      });
      try {
        await test(`${server}?schema=${schema}`, sql, schema);
      } finally {
        await sql.unsafe(`drop schema if exists ${schema} cascade`);
        await sql.end();
      }
    },
  });
}

const symbolsOf = (from: number, to: number, symbol = "BTCUSDT"): Row[] =>
  Array.from({ length: to - from }, (_, i) => [
    ...[0, from + i, "sim", symbol, NOON * 1000 + i, NOON * 1000 + i, null, null, null, null, null, null],
    ...["1.5", "2", "buy", null],
  ]);

/** A proxy before the server that cuts one connection, once, when it is told to. */
class Proxy {
  /** Says of each chunk from the client whether the cut is here. */
  here: (chunk: string) => boolean = () => false;
  /** Whether the chunk at the cut still reaches the server, and only the answer is lost. */
  answerLost = false;
  /** Whether a COMMIT reaches the server as a rollback. */
  rollsBack = false;
  cuts = 0;
  readonly url: string;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #running: Promise<void>[] = [];

  constructor(url: string) {
    const to = new URL(url);
    const { hostname, port } = to;
    to.hostname = "127.0.0.1";
    to.port = String((this.#listener.addr as Deno.NetAddr).port);
    this.url = to.href;
    this.#running.push(this.#accept(hostname, Number(port)));
  }

  async close(): Promise<void> {
    this.#listener.close();
    await Promise.all(this.#running);
  }

  async #accept(hostname: string, port: number): Promise<void> {
    for await (const client of this.#listener) {
      const upstream = await Deno.connect({ hostname, port });
      let open = true;
      const hangUp = (): void => {
        if (open) client.close();
        open = false;
      };
      this.#running.push(
        eachChunk(client, async (chunk) => {
          if (!this.here(new TextDecoder().decode(chunk))) {
            // After the query's length, as long as the word that takes its place.
            const at = this.rollsBack ? Buffer.from(chunk).indexOf("\x0bcommit\0") : -1;
            if (at >= 0) chunk.set(new TextEncoder().encode("abort;"), at + 1);
            return await writeAll(upstream, chunk);
          }
          this.here = () => false;
          this.cuts++;
          if (this.answerLost) await writeAll(upstream, chunk);
          hangUp();
          // The server works off what it has before it sees the end, and nobody hears what it answers.
        }).finally(() => upstream.closeWrite().catch(() => {})),
        eachChunk(upstream, async (chunk) => {
          if (open) await writeAll(client, chunk);
        }).finally(() => {
          hangUp();
          upstream.close();
        }),
      );
    }
  }
}

async function eachChunk(from: Deno.Conn, take: (chunk: Uint8Array) => Promise<void>): Promise<void> {
  const buffer = new Uint8Array(65_536);
  const gone = [
    Deno.errors.BadResource,
    Deno.errors.BrokenPipe,
    Deno.errors.ConnectionReset,
    Deno.errors.Interrupted,
    Deno.errors.NotConnected,
  ];
  try {
    for (let n = await from.read(buffer); n !== null; n = await from.read(buffer)) await take(buffer.subarray(0, n));
  } catch (error) {
    if (!gone.some((kind) => error instanceof kind)) throw error;
  }
}

async function writeAll(to: Deno.Conn, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.length;) at += await to.write(chunk.subarray(at));
}

for (const answerLost of [false, true]) {
  const what = answerLost ? "the answer to it is lost" : "it is lost";
  real(`every message of an apply in turn: ${what}, and the rows are there once`, async (url) => {
    const proxy = new Proxy(url);
    const hot = await openHot(proxy.url, { ...world, retryForMs: 60_000, trying: trying() });
    try {
      let held = await hot.begin(place, "log-a", 0);
      proxy.answerLost = answerLost;
      for (let n = 0, cuts = -1; proxy.cuts > cuts; n++) {
        cuts = proxy.cuts;
        let left = n;
        proxy.here = () => left-- === 0;
        const from = held.next;
        const [trades, more] = [symbolsOf(from, from + 1000), symbolsOf(from + 1000, from + 2000)];
        const rejected = more.map(([, origin]) => [0, origin!, null, "stale", "[]", "1", 0, "x", null, "reject", null]);
        held = await hot.apply({ held, next: from + 2000, origin: from + 1999, rows: { trades, rejected } });
      }
      assert.ok(proxy.cuts >= 6, `only ${proxy.cuts} places were cut`);
      assert.deepEqual(await hot.holdings(), [held]);
      const origins: unknown[] = [];
      for await (const chunk of hot.rows("trades", 0, 0, 1e9)) origins.push(...chunk.map((row) => row[1]));
      for await (const chunk of hot.rows("rejected", 0, 0, 1e9)) origins.push(...chunk.map((row) => row[1]));
      assert.deepEqual(origins.sort((a, b) => Number(a) - Number(b)), Array.from({ length: held.next }, (_, i) => i));
    } finally {
      proxy.here = () => false;
      await hot.close();
      await proxy.close();
    }
  });
}

for (const answerLost of [false, true]) {
  real(
    `a begin and a COMMIT that are lost ${answerLost ? "after" : "before"} they took effect are looked up`,
    async (url) => {
      const proxy = new Proxy(url);
      const hot = await openHot(proxy.url, { ...world, retryForMs: 60_000, trying: trying() });
      try {
        proxy.answerLost = answerLost;
        proxy.here = (chunk) => chunk.includes("log-a");
        const held = await hot.begin(place, "log-a", 0);
        assert.deepEqual(held, { ...place, identity: "log-a", epoch: 1, next: 0, origin: -1, since: NOON });
        proxy.here = (chunk) => chunk.includes("commit\0");
        const moved = await hot.apply({ held, next: 5, origin: 4, rows: { trades: symbolsOf(0, 5) } });
        assert.equal(proxy.cuts, 2);
        assert.deepEqual(await hot.holdings(), [moved]);
        assert.deepEqual((await Array.fromAsync(hot.rows("trades", 0, 0, 1e9))).flat(), symbolsOf(0, 5));
      } finally {
        await hot.close();
        await proxy.close();
      }
    },
  );
}

real("an apply that was fenced while its connection was lost is refused, not repeated", async (url) => {
  const proxy = new Proxy(url);
  const other = await openHot(url, world);
  const hot = await openHot(proxy.url, {
    ...world,
    retryForMs: 60_000,
    // Reported between the loss and the second attempt, just when another owner comes.
    trying: trying(() => fenced = other.acquire(place)),
  });
  let fenced: Promise<unknown> = Promise.resolve();
  try {
    const held = await hot.begin(place, "log-a", 0);
    proxy.here = () => true;
    await assert.rejects(hot.apply({ held, next: 5, origin: 4, rows: { trades: symbolsOf(0, 5) } }), {
      name: "Refusal",
    });
    await fenced;
    assert.equal((await other.holdings())[0]!.next, 0);
  } finally {
    await hot.close();
    await other.close();
    await proxy.close();
  }
});

real("an owner who takes over in the middle of an apply wins, since the apply waits for the row", async (url, sql) => {
  const hot = await openHot(url, world);
  const watcher = postgres(url.split("?")[0]!, { max: 1, fetch_types: false });
  try {
    const held = await hot.begin(place, "log-a", 0);
    await sql.unsafe("begin; update sink_offsets set epoch = epoch + 1");
    const [{ pid }] = await sql`select pg_backend_pid() as pid` as unknown as [{ pid: number }];
    const applying = hot.apply({ held, next: 5, origin: 4, rows: { trades: symbolsOf(0, 5) } });
    const refused = assert.rejects(applying, { name: "Refusal", message: /with epoch 2 holds it/ });
    // The server itself says when somebody waits for our row.
    await watcher.unsafe(`set statement_timeout = 20000; do $$ begin
      while not exists (select from pg_stat_activity where ${pid} = any(pg_blocking_pids(pid))) loop
        perform pg_sleep(0.001), pg_stat_clear_snapshot();
      end loop;
    end $$`);
    await sql.unsafe("commit");
    await refused;
    assert.equal((await hot.holdings())[0]!.next, 0);
  } finally {
    await watcher.end();
    await hot.close();
  }
});

real("a server that stays silent in the midst of an apply is taken for lost, and asked again", async (url, sql) => {
  const watcher = postgres(url.split("?")[0]!, { max: 1, fetch_types: false });
  // A minute of silence passes when the test says so; short pauses pass at once.
  let silence = Promise.withResolvers<void>();
  const lines: string[] = [];
  const hot = await openHot(url, {
    ...world,
    retryForMs: 60_000,
    trying: {
      ...trying((line) => {
        lines.push(line);
        silence = Promise.withResolvers();
        // A query is sent when somebody asks for its outcome.
        if (lines.length === 1) void sql.unsafe("rollback").execute();
      }),
      pause: (ms, signal) => ms < 60_000 ? pause(0, signal) : Promise.race([silence.promise, pause(2 ** 30, signal)]),
    },
  });
  try {
    const held = await hot.begin(place, "log-a", 0);
    await sql.unsafe("begin; select * from sink_offsets for update");
    const [{ pid }] = await sql`select pg_backend_pid() as pid` as unknown as [{ pid: number }];
    const applying = hot.apply({ held, next: 5, origin: 4, rows: { trades: symbolsOf(0, 5) } });
    await watcher.unsafe(`set statement_timeout = 20000; do $$ begin
      while not exists (select from pg_stat_activity where ${pid} = any(pg_blocking_pids(pid))) loop
        perform pg_sleep(0.001), pg_stat_clear_snapshot();
      end loop;
    end $$`);
    silence.resolve();
    assert.deepEqual(await hot.holdings(), [await applying]);
    assert.match(lines[0]!, /^Cannot reach Postgres ".*": no answer for 60 s, must answer; trying again for 60 s$/);
    assert.match(lines[1]!, /^postgres serves again/);
  } finally {
    await watcher.end();
    await hot.close();
  }
});

real("the clock is the server's own", async (url, sql) => {
  const hot = await openHot(url, world);
  try {
    const server = async () => Number((await sql`select extract(epoch from clock_timestamp()) * 1000 as now`)[0]!.now);
    const from = await server();
    const told = await hot.clock!();
    assert.ok(from <= told && told <= await server(), `${told} at ${from}`);
  } finally {
    await hot.close();
  }
});

real("what the server rolled back where it was to commit is refused, not taken for stored", async (url) => {
  const proxy = new Proxy(url);
  const hot = await openHot(proxy.url, world);
  try {
    const held = await hot.begin(place, "log-a", 0);
    proxy.rollsBack = true;
    await assert.rejects(hot.apply({ held, next: 5, origin: 4, rows: { trades: symbolsOf(0, 5) } }), {
      name: "Refusal",
      message: /it rolled back, must accept every row/,
    });
    assert.deepEqual(await hot.holdings(), [held]);
  } finally {
    await hot.close();
    await proxy.close();
  }
});

real("a row that is not what its columns say is refused, by us or by the server", async (url, sql) => {
  const hot = await openHot(url, world);
  try {
    const held = await hot.begin(place, "log-a", 0);
    const odd = (place: number, cell: string | number | null) =>
      symbolsOf(0, 3).map((row, i) => i === 1 ? row.with(place, cell) : row);
    const bad: readonly [number, string | number | null][] = [
      ...["abc", "NaN", "Infinity", "-Infinity", "", "-", ".5", "5.", "1.2.3", "1e3", "+1"].map((p) =>
        [12, p] as [number, string]
      ),
      ...[[7, "7"], [7, 1.5], [7, 2 ** 53], [4, "2024"], [3, 5], [12, 5]] as [number, string | number][],
    ];
    for (const [place, cell] of bad) {
      await assert.rejects(hot.apply({ held, next: 3, origin: 2, rows: { trades: odd(place, cell) } }), {
        name: "Refusal",
        message: /^Cannot store row of "trades", origin 1: has ".*" in (price|sequence|event_time|symbol), must be /,
      });
    }
    await assert.rejects(hot.apply({ held, next: 3, origin: 2, rows: { trades: odd(3, null) } }), {
      name: "Refusal",
      message: /null value in column "symbol".*COPY trades, line 2/,
    });
    const nul = symbolsOf(0, 1, "a\0b");
    await assert.rejects(hot.apply({ held, next: 1, origin: 0, rows: { trades: nul } }), { name: "Refusal" });
    assert.deepEqual(await hot.holdings(), [held]);
    await hot.apply({ held, next: 3, origin: 2, rows: { trades: symbolsOf(0, 3) } });
    for (const price of ["NaN", "Infinity", "-Infinity"]) {
      await assert.rejects(sql`update trades set price = ${price}`, /trades_price_check/);
    }
  } finally {
    await hot.close();
  }
});

Deno.test("a cell that is not of its column's kind is sent to no server", () => {
  const sent = (column: Column, cell: string | number | null) =>
    [...piecesOf("trades", [column], [[cell]])].reduce((sum, piece) => sum + piece.length, 0);
  const wrong: readonly (readonly [Column["kind"], string | number])[] = [
    ...["7", 1.5, NaN, Infinity, 2 ** 53].flatMap((cell) => [["int", cell], ["time", cell]] as const),
    ...["text", "name", "list"].map((kind) => [kind as Column["kind"], 5] as const),
    ...["", "-", ".5", "5.", "1.2.3", "1e3", "+1", "NaN", "Infinity", "0x1", 1, "1,5", " 1"].map((cell) =>
      ["decimal", cell] as const
    ),
  ];
  for (const [kind, cell] of wrong) {
    assert.throws(() => sent({ name: "c", kind, nullable: true }, cell), {
      name: "Refusal",
      message: /^Cannot store row of "trades", origin .*: has ".*" in c, must be (int|time|text|name|list|decimal)$/,
    }, `${kind} ${cell}`);
  }
  for (const [kind, cell] of [["int", 7], ["time", 7], ["text", ""], ["decimal", "-0.5"], ["int", null]] as const) {
    assert.ok(sent({ name: "c", kind, nullable: true }, cell) > 0);
  }
});

real("any cell comes back as it was: texts of every script, numbers to their last digit", async (url) => {
  const hot = await openHot(url, world);
  const digits = (max: number) => fc.string({ unit: fc.constantFrom(..."0123456789"), minLength: 1, maxLength: max });
  const decimal = fc.tuple(fc.boolean(), digits(26), fc.option(digits(12), { nil: "" })).map((
    [minus, whole, fraction],
  ) => canonical(`${minus ? "-" : ""}${whole.replace(/^0+(?=\d)/, "")}${fraction === "" ? "" : `.${fraction}`}`));
  const text = fc.oneof(
    fc.constantFrom("", "\t", "\\N", "\\.", "a\nb", "é😀", "x".repeat(48), "é".repeat(70_000)),
    fc.string({ unit: "binary", maxLength: 60 }).map((t) => t.replaceAll("\0", "")),
  );
  const int = fc.oneof(fc.constantFrom(0, -1, 2 ** 32, -(2 ** 32), 2 ** 53 - 1, -(2 ** 53) + 1), fc.integer());
  const micros = fc.integer({ min: -2e15, max: 4e15 });
  const row = fc.tuple(decimal, decimal, fc.option(text), fc.option(int), micros);
  try {
    let held = await hot.begin(place, "log-a", 0);
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 300 }), async (cells) => {
        const from = held.next;
        const rows = cells.map(([price, size, id, sequence, received], i): Row => [
          ...[0, from + i, "sim", "X", NOON * 1000, received, null, sequence, id, null, null, null],
          ...[price, size, "buy", null],
        ]);
        const next = from + rows.length;
        held = await hot.apply({ held, next, origin: next - 1, rows: { trades: rows } });
        const found: Row[] = [];
        for await (const chunk of hot.rows("trades", 0, from, next)) found.push(...chunk);
        assert.deepEqual(found, rows);
      }),
      { numRuns: 30, seed: 7 },
    );
  } finally {
    await hot.close();
  }
});

real("rows lie in a partition for each day, created once by however many writers", async (url, sql) => {
  const hots = await Promise.all([openHot(url, world), openHot(url, world), openHot(url, world)]);
  try {
    await Promise.all(hots.map(async (hot, partition) => {
      const held = await hot.begin({ ...place, partition }, "log-a", 0);
      const rows = [-1, 0, 1, 0].map((day, i) =>
        symbolsOf(i, i + 1)[0]!.with(0, partition).with(4, NOON * 1000 + day * DAY_MICROS)
      );
      await hot.apply({ held, next: 4, origin: 3, rows: { trades: rows } });
    }));
    const days =
      await sql`select tableoid::regclass::text as day, count(*)::int as rows from trades group by 1 order by 1`;
    assert.deepEqual(days.map(({ day, rows }) => [day, rows]), [
      ["trades_20240807", 3],
      ["trades_20240808", 6],
      ["trades_20240809", 3],
    ]);
    // Retention drops a day under a writer's feet: the next apply fails or creates it, the one after it works.
    await sql`drop table trades_20240808`;
    const [held] = await hots[0]!.holdings();
    const again = () => hots[0]!.apply({ held: held!, next: 5, origin: 4, rows: { trades: symbolsOf(4, 5) } });
    await assert.rejects(again(), { name: "Refusal", message: /no partition of relation/ });
    await again();
  } finally {
    for (const hot of hots) await hot.close();
  }
});

real("a newer schema and somebody else's table are refused", async (url, sql, schema) => {
  await sql.unsafe(`create schema ${schema}`);
  await sql`create table trades (price float)`;
  await assert.rejects(openHot(url, world), { name: "Refusal", message: /has a table "trades" of another program/ });
  await sql`drop table trades`;
  await (await openHot(url, world)).close();
  await sql`update tapedeck_schema set version = ${migrationsOf("postgres").length + 1}`;
  await assert.rejects(openHot(url, world), { name: "Refusal", message: /must be at most/ });
});

real("who only looks makes no schema, and leaves an older one as it is", async (url, sql, schema) => {
  const look = async (): Promise<number | undefined> => {
    const hot = await openHot(url, { ...world, isLooking: true });
    await hot.close();
    return hot.version;
  };
  assert.equal(await look(), 0);
  assert.deepEqual([...await sql`select 1 from pg_namespace where nspname = ${schema}`], []);
  await (await openHot(url, world)).close();
  await sql`update tapedeck_schema set version = 2`;
  await sql`alter table sink_offsets drop column updated_at`;
  await sql`alter table rejected drop column severity, drop column standing`;
  assert.equal(await look(), 2);
  const hot = await openHot(url, world);
  assert.equal(hot.version, migrationsOf("postgres").length);
  await hot.close();
});

real("a wrong password is one line without a secret, and the right one may come from the environment", async (url) => {
  const parsed = new URL(url);
  const right = parsed.password;
  parsed.password = "s3cr3t";
  await assert.rejects(openHot(parsed.href, world), ({ name, message }: Error) => {
    assert.equal(name, "Misuse");
    assert.match(message, /^Cannot log in to Postgres ".*" as ".*": password authentication failed.*PASSWORD\)$/);
    assert.doesNotMatch(message, /s3cr3t|\n/);
    return true;
  });
  parsed.password = "";
  const env = (name: string) => name === "TAPEDECK_POSTGRES_PASSWORD" ? right : undefined;
  const hot = await openHot(parsed.href, { ...world, env });
  assert.doesNotMatch(hot.tryThis, new RegExp(`:${right}@`));
  await hot.close();
  parsed.pathname = "/no_such_database";
  await assert.rejects(openHot(parsed.href, { ...world, env }), { name: "Misuse", message: /does not exist/ });
});

Deno.test({
  name: "a server that is not there, or hangs up at once, is an outage that names it",
  sanitizeOps: true,
  sanitizeResources: true,
  async fn() {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    const url = `postgres://u:s3cr3t@127.0.0.1:${port}/db`;
    const hangUp = (async () => {
      for await (const connection of listener) connection.close();
    })();
    const outage = (error: Error): boolean => {
      assert.ok(error instanceof Outage);
      assert.match(error.message, new RegExp(`^Cannot reach Postgres "127.0.0.1:${port}/db": .*must answer$`));
      assert.doesNotMatch(error.message, /s3cr3t/);
      return true;
    };
    await assert.rejects(openHot(url, world), outage);
    listener.close();
    await hangUp;
    await assert.rejects(openHot("postgres://u@no-such-host.invalid/db", world), {
      name: "Outage",
      message: /ENOTFOUND/,
    });
    await assert.rejects(openHot(url, world), outage);
    // The clock moves a second at every look, so that a bound of five is reached after a few attempts.
    let now = 0;
    const reports: string[] = [];
    const patient = {
      ...world,
      now: () => now += 1000,
      retryForMs: 5000,
      trying: trying((line) => reports.push(line)),
    };
    await assert.rejects(openHot(url, patient), outage);
    assert.equal(reports.length, 1);
    assert.ok(now >= 4000);
  },
});

Deno.test("a URL that cannot work is misuse, and never repeated", async () => {
  for (
    const url of [
      "postgres://",
      "postgres:nothing",
      "postgres://host/db",
      "postgres://u:s3cr3t@host",
      "postgres://u:s3cr3t@host:99999/db",
      "postgres://u:s3cr3t@host/db?sslmode=maybe",
      "postgres://u:s3cr3t@host/db?schema=a;drop",
      "postgres://u:s3cr3t@host/db?options=-c",
      "postgres://u:s3cr3t@a,b/db",
      "postgres://u:s3cr3t@host/d%zz",
    ]
  ) {
    await assert.rejects(openHot(url, world), ({ name, message }: Error) => {
      assert.equal(name, "Misuse", url);
      assert.doesNotMatch(message, /s3cr3t/);
      return true;
    });
  }
});

Deno.test("times are read as they are written, with any number of digits after the point", () => {
  for (const micros of [0, 1, 1_723_118_400_123_456, 951_868_799_999_999, 9_007_199_254_740_991]) {
    assert.equal(microsOf(timeText(micros)), micros);
  }
  assert.equal(microsOf("2024-08-08 12:00:00+00"), NOON * 1000);
  assert.equal(microsOf("2024-08-08 12:00:00.5+00"), NOON * 1000 + 500_000);
});
