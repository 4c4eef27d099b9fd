/**
 * How long the shipped suite takes over a day of trades and quotes in a lake, and how much memory: a process of its own for
 * each run, on files that were written before. The lake is of the simulated market, without a log.
 *
 * **Knows** everything.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type Files, MARKET, runSuite } from "../lib/check.ts";
import { columns } from "../lib/columns.ts";
import { type Ending, peakMemory } from "../lib/crew.ts";
import { Market, START_MICROS } from "../lib/market.ts";
import { Draft, write } from "../lib/parquet.ts";
import { dateOf, rowOf, TABLE_NAMES, TABLE_OF, type TableName, TABLES } from "../lib/table.ts";
import type { ValidTick } from "../lib/tick.ts";
import { partitionOf } from "../lib/transport.ts";
import { shownRange, shownWhole, spread } from "./spread.ts";

const MODULE = fileURLToPath(import.meta.url);
const PARTITIONS = 4;
/** As the sink has it. */
const UNIT_ROWS = 200_000;
const FILL = 10_000;
const DATE = dateOf(START_MICROS);
const tenths = (n: number): string => n.toFixed(1);

/** What a run came to. */
interface Measured {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  readonly results: number;
  readonly failed: readonly string[];
}

/** Writes a day of so many ticks as the sink would: a file a table for each unit of a partition. */
async function make(folder: string, ticks: number, symbols: number): Promise<void> {
  const market = new Market({ seed: 1, symbols });
  const partitions = market.instruments.map(({ symbol }) => partitionOf(`sim:${symbol}`, PARTITIONS));
  const units = Array.from({ length: PARTITIONS }, () => ({ drafts: new Map<TableName, Draft>(), origin: 0, rows: 0 }));
  let files = 0;
  const flush = async (partition: number): Promise<void> => {
    const unit = units[partition]!;
    for (const [table, draft] of unit.drafts) {
      await Deno.writeFile(
        `${folder}/${table}-${String(files++).padStart(4, "0")}.parquet`,
        await write(partition, draft),
      );
    }
    unit.drafts.clear();
    unit.rows = 0;
  };
  for (let made = 0; made < ticks; made += FILL) {
    for (const { value, symbolIndex } of market.fill(Math.min(FILL, ticks - made))) {
      const partition = partitions[symbolIndex]!;
      const unit = units[partition]!;
      const tick = { ...JSON.parse(value as string), origin: unit.origin, previous: unit.origin - 1 } as ValidTick;
      const table = TABLE_OF[tick.type];
      const draft = unit.drafts.get(table) ?? new Draft(TABLES[table]);
      unit.drafts.set(table, draft);
      draft.add(rowOf(tick, partition));
      unit.origin++;
      if (++unit.rows === UNIT_ROWS) await flush(partition);
    }
  }
  for (const partition of units.keys()) await flush(partition);
}

async function run(folder: string, symbols: number): Promise<Measured> {
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  const files: Files = Object.fromEntries(
    TABLE_NAMES.map((
      table,
    ) => [table, names.filter((name) => name.startsWith(`${table}-`)).map((name) => `${folder}/${name}`)]),
  );
  const terms = new Market({ seed: 1, symbols }).instruments.map((instrument) => {
    return { ...instrument, venue: "sim", since: 0, until: Number.MAX_SAFE_INTEGER };
  });
  const suite = { ...MARKET, expectations: MARKET.expectations.filter(({ check }) => check !== "unequal") };
  const began = performance.now(), cpu = process.cpuUsage();
  const { results } = await runSuite(suite, {
    ...{ dates: [DATE], symbol: null, terms, texts: new Map(), shelf: null, draws: false, threads: 2 },
    files: () => Promise.resolve(files),
    limits: { lateMsMax: 1_000, futureMsMax: 5_000 },
    signal: new AbortController().signal,
  });
  const { user, system } = process.cpuUsage(cpu);
  const failed = new Set(results.filter(({ status }) => status === "fail").map(({ name }) => name));
  return {
    seconds: (performance.now() - began) / 1_000,
    cpuSeconds: (user + system) / 1e6,
    memoryBytes: peakMemory(),
    results: results.length,
    failed: [...failed],
  };
}

async function apart(...args: readonly string[]): Promise<string> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MODULE, ...args],
    stderr: "inherit",
  }).output();
  if (code !== 0) throw new Error(`Cannot measure audit "${args.join(" ")}": it ended with ${code}, must end with 0`);
  return new TextDecoder().decode(stdout);
}

export async function benchAudit(
  { ticks, symbols, runs }: { readonly ticks: number; readonly symbols: number; readonly runs: number },
  say: (line: string) => void,
): Promise<Ending> {
  const folder = await Deno.makeTempDir({ prefix: "tapedeck-bench-" });
  try {
    say(`writing a day of ${ticks.toLocaleString("en")} ticks of ${symbols} symbols`);
    await apart("make", folder, String(ticks), String(symbols));
    const measured: Measured[] = [];
    for (let i = 0; i < runs; i++) measured.push(JSON.parse(await apart("run", folder, String(symbols))) as Measured);
    const of = (value: (run: Measured) => number) => spread(measured.map(value));
    const [{ results, failed }] = measured as [Measured];
    const line = {
      ticks,
      expectations: MARKET.expectations.length - 1,
      results,
      failed,
      seconds: of((run) => run.seconds),
      cpuSeconds: of((run) => run.cpuSeconds),
      memoryMiB: of((run) => run.memoryBytes / 2 ** 20),
    };
    const rows = [
      ["ticks", "expectations", "results", "s", "cpu s", "MiB"],
      [
        ticks.toLocaleString("en"),
        String(line.expectations),
        String(results),
        shownRange(line.seconds, tenths),
        shownRange(line.cpuSeconds, tenths),
        shownRange(line.memoryMiB, shownWhole),
      ],
    ];
    return { text: columns(rows, () => false).join("\n"), summary: { audit: line }, findings: 0 };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const [what, folder, ...numbers] = Deno.args as [string, string, ...string[]];
  const [first = 0, second = 0] = numbers.map(Number);
  if (what === "make") await make(folder, first, second);
  else console.log(JSON.stringify(await run(folder, first)));
}
