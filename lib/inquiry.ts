/**
 * A question to a lake, for scripts: one SELECT over a day, without a stage around it.
 *
 * **In** a lake's URL, a date and SQL, **Out** rows: decimals as exact text, times in µs. **Knows** `check`, `lake`, `parquet`,
 * `failure`, `world`.
 */
import { ledgerOf, pathsOf } from "./check.ts";
import { lay } from "./check/stand.ts";
import { Misuse } from "./failure.ts";
import { openLake } from "./lake.ts";
import { type Answer, Views } from "./parquet.ts";
import type { World } from "./world.ts";

export type { Answer, Value } from "./parquet.ts";

/** Who only looks: nothing is made, mended or waited for. */
const LOOKING: World = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0, isLooking: true };

/**
 * What a SELECT answers over the views `trades`, `quotes`, `books`, `deltas`, `status` and `built` of a UTC date, of the files
 * that the ledger names. `url` is that of a lake on a disk, as `file:data/lake`.
 * @throws {Misuse} where there is no such lake, or the lake has nothing of the date
 */
export async function askLake(url: string, date: string, sql: string): Promise<readonly Answer[]> {
  if (!url.startsWith("file:")) {
    throw new Misuse(`Cannot ask lake "${url}": it has no files, must be like file:data/lake`);
  }
  const lake = await openLake(url, LOOKING);
  try {
    const files = ledgerOf(await lake.units(), date);
    if (files.length === 0) {
      throw new Misuse(`Cannot ask lake "${url}": it has no row of "${date}", must have some`);
    }
    using views = await Views.open();
    await lay(views, pathsOf(lake.root, files));
    return views.ask(sql);
  } finally {
    await lake.close();
  }
}
