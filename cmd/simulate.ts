/**
 * The seeded market into the log. Runs add up: sequence, market time and seed are kept, and what an interrupted run had
 * already appended is made again and passed over, so that nothing is there twice. With `--as` nothing goes into the log:
 * the market is served as a venue would.
 *
 * **In** seed, number of ticks, share of faults, **Out** `ticks.raw`; with `--truth` what was planted, and where.
 * **Knows** `market`, `serving`, `producer`, `tape`, `patience`, `stage`, `crew`.
 */
import { start } from "../lib/crew.ts";
import { Misuse, reasonOf } from "../lib/failure.ts";
import { ofDisk } from "../lib/patience.ts";
import type { Deed } from "../lib/history.ts";
import { Market, MIXED_MAX, type SimMessage } from "../lib/market.ts";
import { defineStage } from "../lib/stage.ts";
import { Resumed } from "../lib/producer.ts";
import { serve } from "../lib/serving.ts";
import { assertSame, type Tape } from "../lib/tape.ts";
import { partitionOf, TOPICS } from "../lib/transport.ts";

const PRODUCER = "simulate";
/** Ticks of a run that is not told how many. */
const TICKS = 1_000_000;
/** Ticks made at once; they go to all partitions side by side. */
const FILL_MAX = 4_096;
/** Ticks between two checkpoints. */
const SAVE_EVERY = 262_144;
/** Shortest wait of an open loop, ms. */
const PACE_MS = 5;

/** What is kept between runs: the market, and the number of the next message in each partition. */
interface Kept {
  readonly seed: number;
  readonly symbols: number;
  readonly market: string;
  readonly numbers: readonly number[];
  /** Absent where an earlier version kept it, like the others below. */
  readonly tape?: Tape;
  readonly offsets?: readonly number[];
  readonly faults?: number;
  readonly mixed?: number;
}

const stage = defineStage({
  name: "simulate",
  does: "a seeded market of quotes and trades, with faults on demand",
  reads: [],
  writes: [TOPICS.raw],
  needs: [],
  flags: {
    ticks: { kind: "count", does: `how many more; 0 for ever (default ${TICKS}, with --as 0)` },
    seed: { kind: "count", default: 1, does: "same seed, same bytes" },
    symbols: { kind: "count", default: 50, max: 10_000, does: "how many instruments trade" },
    faults: { kind: "amount", default: 0.01, max: 1, does: "share of ticks that get a fault beside them" },
    mixed: {
      kind: "count",
      default: 0,
      max: MIXED_MAX,
      does: "ticks among which the order of arrival is mixed, 0 for none",
    },
    truth: { kind: "text", value: "FILE", does: "writes each fault's place and reasons" },
    rate: {
      kind: "amount",
      default: 0,
      unit: "ticks/s",
      does: "paces by schedule; 0 as fast as it goes, with --as 100",
    },
    to: { kind: "text", value: "URL", does: "another transport for the output; - for stdout" },
    as: {
      kind: "text",
      value: "VENUE",
      does: "serves websocket and REST as this venue does, instead of writing ticks",
    },
    listen: {
      kind: "text",
      default: "127.0.0.1:9443",
      value: "HOST:PORT",
      pattern:
        /^(?:\[[\da-fA-F:]+\]|[\w.-]+):0*(?:\d{1,4}|[1-5]\d{4}|6(?:[0-4]\d{3}|5(?:[0-4]\d\d|5(?:[0-2]\d|3[0-5]))))$/,
      does: "with --as: where it serves",
    },
    mischief: {
      kind: "amount",
      default: 0,
      max: 1,
      does: "with --as: share of frames and answers that a fault strikes",
    },
    from: { kind: "text", value: "FILE", does: "with --as: plays a recorded capture instead, its frames as they are" },
    cert: { kind: "text", value: "FILE", does: "with --as: certificate, PEM, to serve TLS" },
    key: { kind: "text", value: "FILE", does: "with --as: its key, PEM" },
  },
  examples: [
    "deno task simulate --ticks 100_000 --faults 0.02 --seed 7",
    "deno task simulate --faults 0 --to - | jq .price",
    "deno task simulate --as bybit --listen 127.0.0.1:9443 --mischief 0.001",
  ],
  files({ truth, from, cert, key }) {
    const written = truth === undefined ? [] : [truth];
    return { read: [...written, ...[from, cert, key].filter((path) => path !== undefined)], write: written };
  },
  reach: ({ as, listen }) => Promise.resolve({ hosts: as === undefined ? [] : [listen], secrets: [] }),
  isApart: ({ as }) => as !== undefined,
  async run({ values, send, ranges, log, tape, world, until, signal, tally }) {
    const { seed, symbols, faults, mixed, rate, ticks = values.as === undefined ? TICKS : 0 } = values;
    if (values.as !== undefined) {
      using truth = values.truth === undefined ? null : new Truths(values.truth, false);
      const noted = truth === null ? undefined : (deed: Deed) => truth.add({ ...deed });
      const paced = () => truth?.flush();
      return await serve({ ...values, as: values.as, ticks }, { world, until, signal, noted, paced });
    }
    const places = await ranges(TOPICS.raw);
    const { epoch, checkpoint } = await log.claim(PRODUCER, 0);
    const kept: Kept | null = checkpoint === null ? null : JSON.parse(checkpoint.state);
    if (kept !== null && (kept.seed !== seed || kept.symbols !== symbols)) {
      throw new Misuse(
        `Cannot simulate seed ${seed} with ${symbols} symbols: this data was begun with seed ${kept.seed} and ${kept.symbols} symbols, must be the same, or begun anew with deno task pipeline --fresh`,
      );
    }
    assertSame("resume simulate", kept?.tape ?? {}, tape);
    const market = new Market({ seed, symbols, faults, mixed, ...(kept && { state: kept.market }) });
    const resumed = await Resumed.open({
      id: PRODUCER,
      epoch,
      numbers: kept?.numbers ?? null,
      offsets: kept?.offsets ?? null,
      topic: TOPICS.raw,
      ranges: places,
      log,
      send: (partition, messages, due) => send(TOPICS.raw, partition, messages, due),
    });
    for (const [what, value] of [["faults", faults], ["mixed", mixed]] as const) {
      const was = kept?.[what];
      if (!resumed.repeats || was === undefined || was === value) continue;
      throw new Misuse(
        `Cannot simulate with ${what} ${value}: a run with ${what} ${was} was interrupted, must be the same until what it appended is made again`,
      );
    }
    const partitions = market.instruments.map(({ symbol }) => partitionOf(`sim:${symbol}`, places.length));
    using truth = values.truth === undefined ? null : new Truths(values.truth, (checkpoint?.nextOffset ?? 0) > 0);

    const append = async (partition: number, lot: readonly SimMessage[], due: number | undefined): Promise<void> => {
      const first = await resumed.append(partition, lot, due);
      if (truth === null) return;
      lot.forEach((message, i) => {
        if (message.truth === undefined) return;
        const opened = message.truth.fault === "gap"
          ? { eventTime: JSON.parse(message.value as string).eventTime }
          : {};
        truth.add({ topic: TOPICS.raw, partition, offset: first + i, ...message.truth, ...opened });
      });
    };
    const save = async (): Promise<void> => {
      await Promise.all(places.map((_, partition) => log.sync(TOPICS.raw, partition)));
      const { numbers, offsets } = resumed;
      const state: Kept = { seed, symbols, market: market.state(), numbers, tape, offsets, faults, mixed };
      const nextOffset = numbers.reduce((sum, n) => sum + n, 0);
      await log.save(PRODUCER, 0, { epoch, nextOffset, state: JSON.stringify(state) });
    };

    // Whoever goes on after a run that fell must know which market it had begun to append.
    if (!resumed.repeats) await save();
    const instruments = { control: "instruments", venue: "sim", instruments: market.instruments };
    for (const partition of places.keys()) {
      if (resumed.numbers[partition]! > 0) continue;
      await resumed.append(partition, [{ key: null, value: JSON.stringify(instruments), control: true }]);
    }
    const total = ticks || Infinity;
    let made = 0;
    let saved = 0;
    // When the pace began, and how many were made before; what the log holds already is made again without a pause.
    let began = world.now();
    let unpaced = 0;
    while (made < total && !signal.aborted) {
      let count = Math.min(FILL_MAX, total - made);
      let due: number | undefined;
      if (rate > 0 && resumed.repeats) {
        began = world.now();
        unpaced = made + count;
      } else if (rate > 0) {
        const paced = made - unpaced;
        const ready = Math.floor((world.now() - began) * rate / 1000) - paced;
        if (ready < 1) {
          await until(Math.max(began + (paced + 1) * 1000 / rate, world.now() + PACE_MS));
          continue;
        }
        due = began + (paced + 1) * 1000 / rate;
        count = Math.min(count, ready);
      }
      const lots: SimMessage[][] = places.map(() => []);
      for (const message of market.fill(count)) lots[partitions[message.symbolIndex]!]!.push(message);
      await Promise.all(lots.map((lot, partition) => lot.length > 0 ? append(partition, lot, due) : undefined));
      truth?.flush();
      tally.add("ticks_produced_total", count);
      made += count;
      if (made - saved >= SAVE_EVERY) {
        await save();
        saved = made;
      }
    }
    await save();
    return { made, marketTime: market.time };
  },
});

/** The file of planted faults, a JSON line each. */
class Truths {
  readonly #file: Deno.FsFile;
  readonly #path: string;
  #text = "";

  constructor(path: string, goesOn: boolean) {
    this.#path = path;
    try {
      this.#file = Deno.openSync(path, { create: true, write: true, append: goesOn, truncate: !goesOn });
    } catch (error) {
      throw new Misuse(`Cannot write truth "${path}": ${reasonOf(error)}, must be in a folder that is there`);
    }
  }

  add(line: Readonly<Record<string, unknown>>): void {
    this.#text += JSON.stringify(line) + "\n";
  }

  flush(): void {
    const bytes = new TextEncoder().encode(this.#text);
    this.#text = "";
    try {
      for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
    } catch (error) {
      throw ofDisk(`write "${this.#path}"`, error).error;
    }
  }

  [Symbol.dispose](): void {
    this.flush();
    this.#file.close();
  }
}

export default stage;
if (import.meta.main) await start(stage, import.meta.url);
