/**
 * A live feed never lies about what it missed: through faults of every kind, one after the other, each trade of a venue is
 * collected once or lies in a gap that was told, nothing is invented, and no book is built that the venue did not have.
 *
 * Some of each here; `TAPEDECK_STORM_FAULTS=500` for as many of every venue.
 */
import assert from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import audit from "../cmd/audit.ts";
import ingest from "../cmd/ingest.ts";
import { FRAMES as TAPE } from "../lib/frames.ts";
import { openLake } from "../lib/lake.ts";
import { perform, type Stage } from "../lib/stage.ts";
import { TABLES } from "../lib/table.ts";
import { TOPICS } from "../lib/transport.ts";
import { openVenue } from "../lib/venue.ts";
import { flow, run, settingOf, ticksIn, withData } from "../testdata/flow.ts";
import { type Deed, type Storm, storm } from "./storm/feed.ts";
import { Follower, type Scene } from "./storm/follower.ts";
import type { Found } from "./storm/found.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const FAULTS = Number(Deno.env.get("TAPEDECK_STORM_FAULTS") ?? 40);
/** Faults of one seed. */
const ROUND = 20;
const SEEDS = Math.ceil(FAULTS / ROUND);

const LINES: readonly Deed[] = ["stall", "halfOpen", "close", "abort", "refused", "rollover", "rollover struck"];
const FRAMES: readonly Deed[] = ["drop", "twice", "swap"];
const EVERY = ["trade", "quote", "book"] as const;
const ANSWERS = { faults: ["html", "tooMany", "stale"], after: "book" } as const;

const STORMS: readonly Storm[] = [
  {
    as: "binance",
    frames: EVERY,
    deeds: [...LINES, ...FRAMES, "shutdown", "unanswered"],
    answers: ANSWERS,
    depth: 20,
    compares: "equal",
  },
  {
    as: "binance-usdm",
    frames: EVERY,
    deeds: [...LINES, ...FRAMES, "unanswered"],
    answers: ANSWERS,
    depth: 20,
    compares: "equal",
  },
  // Its trades have no counter: one that is lost while all else comes is missed by nobody.
  { as: "bybit", frames: ["book"], deeds: [...LINES, ...FRAMES, "reset"], depth: 50 },
  { as: "kraken", frames: EVERY, deeds: [...LINES, ...FRAMES, "checksum"], depth: 10 },
  { as: "coinbase-advanced", frames: EVERY, deeds: [...LINES, ...FRAMES], depth: 20 },
  // Nothing shows that a change of its book was lost; that the connection was does.
  {
    as: "coinbase",
    frames: ["trade"],
    deeds: [...LINES, ...FRAMES, "unanswered"],
    answers: { faults: ["html", "tooMany"], after: "trade" },
    depth: 20,
    compares: "unnumbered",
  },
  // Nothing tells one of its trades from another, so that neither a lost nor a doubled frame can be known; and it bears no
  // second connection of one token.
  { as: "finnhub", frames: [], deeds: ["halfOpen", "close", "abort", "refused"] },
  // It tells how much was traded so far, and every book whole: what was lost shows in what comes next, whatever it was.
  { as: "upstox", frames: ["trade", "book"], deeds: [...LINES, ...FRAMES] },
];

for (const plan of STORMS) {
  Deno.test(`${plan.as}: through ${FAULTS} faults no trade is lost unsaid and no book is wrong`, strict, async () => {
    const found: Found[] = [];
    for (let seed = 1; seed <= SEEDS; seed++) {
      const one = await storm(plan, seed, ROUND);
      assert.deepEqual(one.wrong, [], `seed ${seed}`);
      found.push(one);
    }
    const sum = (of: (one: Found) => number): number => found.reduce((total, one) => total + of(one), 0);
    const struck = new Map<string, number>();
    for (const one of found) {
      for (const [fault, count] of Object.entries(one.struck)) struck.set(fault, (struck.get(fault) ?? 0) + count);
    }
    const [trades, gaps, books] = [sum((one) => one.trades), sum((one) => one.gaps), sum((one) => one.books)];
    assert.ok(
      trades > 100 && gaps > 0 && books > (plan.depth === undefined ? -1 : 500),
      `${trades} trades, ${gaps} gaps, ${books} books`,
    );
    const came = (outcome: string): number => sum(({ compared }) => compared[outcome] ?? 0);
    if (plan.compares !== undefined) {
      const others = `${came("passed")} passed, ${came("unsynced")} unsynced`;
      assert.ok(came(plan.compares) > 5, `${came(plan.compares)} ${plan.compares}, ${others}`);
    }
    if (FAULTS <= 40) return;
    console.log(
      [
        `${plan.as}: ${trades} trades, ${sum((one) => one.collected)} collected, ${sum((one) => one.missed)} missed`,
        `in ${gaps} gaps, ${sum((one) => one.doubled)} doubled; ${books} books, ${sum((one) => one.bookGaps)} gaps`,
        `of books and quotes; ${[...struck].sort().map(([fault, count]) => `${fault} ${count}`).join(", ")}`,
      ].join(" "),
    );
  });

  // Where a lost frame can be known, one that cannot be read can.
  if (plan.frames.length > 0) {
    Deno.test(
      `${plan.as}: no book is wrong, and no trade lost unsaid, where frames come without their end`,
      strict,
      async () => {
        const { wrong, struck, books } = await storm({ ...plan, deeds: ["garble"] }, 2, FAULTS / 4);
        assert.deepEqual([wrong, struck.garble], [[], FAULTS / 4]);
        assert.ok(books > (plan.depth === undefined ? -1 : 100), `${books} books`);
      },
    );
  }

  for (const deed of ["rollover", "shutdown"] as const) {
    if (!plan.deeds.includes(deed)) continue;
    const why = deed === "rollover" ? "" : ", where the venue says that it will end it";
    Deno.test(
      `${plan.as}: one connection after the other loses nothing, doubles nothing and tells no gap${why}`,
      strict,
      async () => {
        const { wrong, struck, trades, missed, doubled, gaps, bookGaps } = await storm(
          { ...plan, deeds: [deed] },
          1,
          5,
        );
        assert.deepEqual(wrong, []);
        assert.ok(struck.rollover! >= 4 && trades > 20, `${struck.rollover} times, ${trades} trades`);
        assert.deepEqual({ missed, doubled, gaps, bookGaps }, { missed: 0, doubled: 0, gaps: 0, bookGaps: 0 });
        assert.deepEqual([struck.shutdown, struck["close 1001"]], [deed === "shutdown" ? 5 : undefined, undefined]);
      },
    );
  }
}

/** Flags that build every book. */
const builtOf = ({ depth }: Storm): readonly string[] =>
  depth === undefined ? [] : ["--book-depth", String(depth), "--book-every", "0"];

/** Follows by the stage `ingest`, and sees what it sends. */
class Staged extends Follower {
  readonly #over = new AbortController();
  readonly #running: Promise<unknown>;

  private constructor(data: string, { plan, pretend, now, world }: Scene) {
    super();
    if (!("run" in ingest)) throw new Error("ingest is no stage");
    const { run: follow } = ingest;
    const timed: Stage = {
      ...ingest,
      run: (hands) =>
        follow({
          ...hands,
          micros: now,
          world: { ...hands.world, ...world },
          send: async (topic, partition, messages) => {
            const place = await hands.send(topic, partition, messages);
            for (const { value } of messages) this.#see(topic, JSON.parse(value as string));
            return place;
          },
        }),
    };
    const args = Object.entries({
      venue: plan.as,
      symbols: pretend.symbols.join(),
      base: pretend.socketUrl,
      rest: pretend.restUrl,
      "compare-every": "200",
    }).flatMap(([flag, value]) => [`--${flag}`, value]);
    const setting = settingOf(timed, data, [...args, ...builtOf(plan), "--frames"]);
    this.#running = perform(timed, setting, () => {}, this.#over.signal, new AbortController().signal)
      .catch((error) => this.fail(error));
  }

  /** The stage opens the venue by its name: there it lives as long as in the storm. */
  static async follow(data: string, scene: Scene): Promise<Staged> {
    const { live } = await openVenue(scene.plan.as);
    Object.assign(live!, { lifetimeMs: scene.venue.live!.lifetimeMs });
    return new Staged(data, scene);
  }

  async close(): Promise<void> {
    this.#over.abort();
    await this.#running;
    this.check();
  }

  // deno-lint-ignore no-explicit-any -- what the stage itself has written
  #see(topic: string, sent: any): void {
    if (topic === TOPICS.raw) this.take(sent);
    else if (topic === TAPE && sent.isEvent) this.hear(JSON.parse(sent.frame));
  }
}

for (const plan of STORMS) {
  Deno.test(`${plan.as}: through faults each trade is in both stores once, and the books balance`, async () => {
    let [faults, stored, gaps] = [0, 0, 0];
    for (let seed = 1; seed <= (FAULTS > 40 ? SEEDS : 1); seed++) {
      await withData(async (data) => {
        const found = await storm(plan, seed, ROUND, (scene) => Staged.follow(data, scene));
        assert.deepEqual(found.wrong, [], `seed ${seed}`);
        await flow(data);
        assert.deepEqual((await run(audit, data)).findings ?? [], []);
        const [hot, cold] = [hotTrades(data), await coldTrades(data)];
        assert.equal(new Set(hot).size, hot.length, `seed ${seed}: a trade is in the hot store twice`);
        assert.equal(hot.length, found.told, `seed ${seed}`);
        assert.deepEqual(cold.sort(), hot.sort(), `seed ${seed}`);
        // The tape of frames gives the same again, and what was held against books shows the same.
        const tape = ["--from", `log:${data}/log/${TAPE}`, "--venue", plan.as, ...builtOf(plan)];
        const again = await run(ingest, `${data}/again`, ...tape);
        assert.deepEqual(await ticksIn(`${data}/again`), await ticksIn(data), `seed ${seed}`);
        const outcomes = (again.compared ?? {}) as Readonly<Record<string, number>>;
        assert.equal(outcomes.differing, undefined, `seed ${seed}`);
        if (plan.compares !== undefined) assert.ok((outcomes[plan.compares] ?? 0) > 5, JSON.stringify(outcomes));
        faults += ROUND;
        stored += hot.length;
        gaps += found.gaps;
      });
    }
    assert.ok(stored > 20 && gaps > 0, `${stored} trades, ${gaps} gaps`);
    if (FAULTS > 40) console.log(`${plan.as}: ${faults} faults, ${stored} trades in hot and lake, ${gaps} gaps`);
  });
}

const [SYMBOL, ID, TIME] = ["symbol", "id", "event_time"].map((name) =>
  TABLES.trades.findIndex((column) => column.name === name)
) as [
  number,
  number,
  number,
];
/** Those of Finnhub and Upstox have no id; each has a time of its own here. */
const named = (symbol: unknown, id: unknown, time: unknown): string => `${symbol} ${id ?? time}`;

function hotTrades(data: string): string[] {
  using db = new DatabaseSync(`${data}/hot.db`, { readOnly: true });
  return db.prepare("SELECT symbol, id, event_time FROM trades").all().map((row) =>
    named(row.symbol, row.id, row.event_time)
  );
}

async function coldTrades(data: string): Promise<string[]> {
  const lake = await openLake(`file:${data}/lake`, {
    now: () => 0,
    env: () => undefined,
    report: () => {},
    retryForMs: 0,
  });
  const trades: string[] = [];
  for (const { files } of await lake.units()) {
    for (const file of files.filter(({ table }) => table === "trades")) {
      trades.push(...(await lake.rows(file)).map((row) => named(row[SYMBOL], row[ID], row[TIME])));
    }
  }
  await lake.close();
  return trades;
}
