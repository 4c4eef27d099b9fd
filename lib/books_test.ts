/** What the books say of rows that lie where none may be, beside a sink that goes on. */
import assert from "@std/assert";
import { closeBooks } from "./books.ts";
import { type Hot, openHot } from "./hot.ts";
import { openLake } from "./lake.ts";
import { HOT_TABLES } from "./schema.ts";
import type { Row } from "./table.ts";
import { openTransport, TOPICS } from "./transport.ts";
import type { World } from "./world.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const world: World = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 };

const trades = (from: number, to: number): Row[] =>
  Array.from(
    { length: to - from },
    (_, i) =>
      HOT_TABLES.trades.map(({ name, kind, nullable }) =>
        name === "origin" ? from + i : nullable ? null : kind === "int" || kind === "time" ? 0 : "1"
      ),
  );

Deno.test(
  "rows of a sink that goes on while they are looked at are no finding, rows beyond it are",
  strict,
  async () => {
    const log = await openTransport("memory:books", world);
    for (const topic of Object.values(TOPICS)) await log.create(topic, 1);
    const hot = await openHot("memory:books", world);
    const held = await hot.begin({ sink: "sink-hot", topic: TOPICS.valid, partition: 0 }, "log", 0);
    let moved = await hot.apply({ held, next: 3, origin: 2, rows: { trades: trades(0, 3) } });
    const found = async (origin: number): Promise<readonly (readonly [string, number, number])[]> => {
      // It applies three more rows between the look at where it stands and the look at the rows.
      const partitions: Hot["partitions"] = async (table) => {
        const { next } = moved;
        if (table === "trades") {
          moved = await hot.apply({
            held: moved,
            next: next + 3,
            origin,
            rows: { trades: trades(next, next + 3) },
          });
        }
        return await hot.partitions(table);
      };
      const going = new Proxy(hot, {
        get: (hot, name: keyof Hot) =>
          name === "partitions" ? partitions : typeof hot[name] === "function" ? hot[name].bind(hot) : hot[name],
      });
      const lake = await openLake("memory:books", world);
      const { signal } = new AbortController();
      const books = await closeBooks({ log, ranges: (topic) => log.ranges(topic), hot: going, lake, signal });
      return books.flatMap(({ findings }) => findings).filter(({ finding }) => finding === "extra in hot")
        .map(({ place, first, last }) => [place, first, last] as const);
    };
    assert.deepEqual(await found(5), []);
    // A commit that says less than it brings.
    assert.deepEqual(await found(6), [["trades/0", 7, 8]]);
  },
);
