/**
 * Twenty defects, each planted in a store of a clean day of the simulated market: what it changes in the rows or in the
 * files, the check that is meant for it, and where it cannot be planted.
 */
import { Chance } from "../lib/chance.ts";
import type { Tick } from "../lib/tick.ts";

/** A tick as a store holds it. */
export type Held = Tick & { readonly origin: number; readonly flags?: readonly string[] };

/** What a store holds of the day while a defect is planted: ticks in the order of arrival. */
export interface Day {
  ticks: Held[];
  /** How many files of trades there are. */
  readonly files: number;
  /** Columns of those files that have another type. */
  retyped: Readonly<Record<string, string>> | null;
}

export interface Defect {
  readonly name: string;
  /** The check that is meant for it. */
  readonly check: string;
  /** Why the hot store cannot have it; absent where it can. */
  readonly notHot?: string;
  /** The store of which the check is asked, where that is not always the one that has the defect. */
  readonly asked?: "lake";
  /** Plants it in what one store holds; gives the origin of each row that is evidence, null where that is no tick. */
  plant(day: Day, chance: Chance): readonly (number | null)[];
}

type Of<T extends Tick["type"]> = Extract<Tick, { readonly type: T }>;

/** Places of the ticks of a type, without the outermost: what is planted has neighbours. */
function placesOf({ ticks }: Day, type: Tick["type"], symbol = "BTCUSDT"): number[] {
  const places = ticks.flatMap((tick, i) => tick.type === type && tick.symbol === symbol ? [i] : []);
  return places.slice(5, -5);
}

/** Changes some ticks of a type, apart from each other, and gives their origins. */
function change<T extends Tick["type"]>(
  day: Day,
  chance: Chance,
  type: T,
  count: number,
  to: (tick: Of<T>) => Partial<Of<T>>,
  symbol?: string,
): readonly number[] {
  const places = placesOf(day, type, symbol);
  const stride = Math.floor(places.length / count);
  const first = chance.below(stride - 4);
  return Array.from({ length: count }, (_, n) => {
    const at = places[first + n * stride]!;
    day.ticks[at] = { ...day.ticks[at]!, ...to(day.ticks[at] as unknown as Of<T>) } as Held;
    return day.ticks[at].origin;
  });
}

const SECOND = 1_000_000;
const scaled = (price: string, factor: number): string => (Number(price) * factor).toFixed(2);

export const DEFECTS: readonly Defect[] = [
  {
    name: "bids above the ask",
    check: "crossed",
    plant: (day, chance) => change(day, chance, "quote", 3, ({ askPrice }) => ({ bidPrice: scaled(askPrice!, 1.001) })),
  },
  {
    name: "prices between two ticks of the grid",
    check: "grid",
    plant: (day, chance) => change(day, chance, "trade", 4, ({ price }) => ({ price: `${price}5` })),
  },
  {
    name: "sizes that are no lots",
    check: "lot",
    plant: (day, chance) => change(day, chance, "quote", 2, ({ bidSize }) => ({ bidSize: `${bidSize}0000001` })),
  },
  {
    name: "a price of zero",
    check: "negative",
    plant: (day, chance) => change(day, chance, "trade", 1, () => ({ price: "0" })),
  },
  {
    name: "sizes of zero",
    check: "size",
    plant: (day, chance) => change(day, chance, "trade", 2, () => ({ size: "0" })),
  },
  {
    name: "a trade that is there twice",
    check: "unique",
    plant(day, chance) {
      const at = placesOf(day, "trade")[chance.below(20)]!;
      day.ticks.splice(at + 1, 0, day.ticks[at]!);
      return [day.ticks[at]!.origin];
    },
  },
  {
    name: "a number that two quotes have",
    check: "duplicate",
    plant(day, chance) {
      const places = placesOf(day, "quote");
      const n = chance.below(places.length - 1);
      const { sequence } = day.ticks[places[n]!]!;
      day.ticks[places[n + 1]!] = { ...day.ticks[places[n + 1]!]!, sequence } as Held;
      return [day.ticks[places[n + 1]!]!.origin];
    },
  },
  {
    name: "a hole that nobody told",
    check: "unrecorded",
    plant(day, chance) {
      const places = placesOf(day, "trade");
      const n = chance.below(Math.floor(places.length / 2));
      const lost = new Set(places.slice(n, n + 3));
      const { origin } = day.ticks[places[n + 3]!]!;
      day.ticks = day.ticks.filter((_, i) => !lost.has(i));
      return [origin];
    },
  },
  {
    name: "a counter that began again",
    check: "reset",
    plant(day, chance) {
      const places = placesOf(day, "quote");
      const from = chance.below(places.length - 1);
      for (const [n, at] of places.entries()) {
        if (n >= from) day.ticks[at] = { ...day.ticks[at]!, sequence: n - from + 1 } as Held;
      }
      for (let i = places.at(-1)! + 1; i < day.ticks.length; i++) {
        const tick = day.ticks[i]!;
        if (tick.type === "quote" && tick.symbol === "BTCUSDT") {
          day.ticks[i] = { ...tick, sequence: places.length + i } as Held;
        }
      }
      return [day.ticks[places[from]!]!.origin];
    },
  },
  {
    name: "events that come a minute late",
    check: "order",
    plant: (day, chance) =>
      change(day, chance, "trade", 2, ({ eventTime }) => ({ eventTime: eventTime - 60 * SECOND })),
  },
  {
    name: "events of the future",
    check: "future",
    plant: (day, chance) =>
      change(day, chance, "quote", 2, ({ receivedTime }) => ({ receivedTime: receivedTime - 6 * SECOND })),
  },
  {
    name: "a clock that was set",
    check: "step",
    plant(day) {
      const quotes = placesOf(day, "quote");
      const noon = day.ticks[quotes[Math.floor(quotes.length / 2)]!]!.receivedTime;
      // From the next minute on, so that a minute has one clock.
      const from = Math.ceil(noon / (60 * SECOND)) * 60 * SECOND;
      day.ticks = day.ticks.map((tick) =>
        tick.type === "quote" && tick.symbol === "BTCUSDT" && tick.eventTime >= from
          ? { ...tick, receivedTime: tick.receivedTime + 2 * SECOND }
          : tick
      );
      // A minute of it.
      return [null];
    },
  },
  {
    name: "an event of another date",
    check: "date",
    notHot: "a row of hot is of the date of its event, whichever that is",
    plant(day, chance) {
      const at = placesOf(day, "quote")[chance.below(20)]!;
      const tick = day.ticks[at]!;
      day.ticks[at] = { ...tick, eventTime: tick.eventTime - 86_400 * SECOND, flags: ["late"] } as Held;
      return [tick.origin];
    },
  },
  {
    name: "a silence of an hour",
    check: "silence",
    plant(day) {
      const half = day.ticks[Math.floor(day.ticks.length / 2)]!.eventTime;
      day.ticks = day.ticks.map((tick) =>
        tick.symbol === "ETHUSDT" && tick.eventTime > half
          ? { ...tick, eventTime: tick.eventTime + 3_600 * SECOND, receivedTime: tick.receivedTime + 3_600 * SECOND }
          : tick
      );
      return (["trade", "quote"] as const).map((type) => {
        return day.ticks.find((tick) => tick.type === type && tick.symbol === "ETHUSDT" && tick.eventTime > half)!
          .origin;
      });
    },
  },
  {
    name: "trades far from every quote",
    check: "away",
    plant: (day, chance) => change(day, chance, "trade", 3, ({ price }) => ({ price: scaled(price, 1.01) })),
  },
  {
    name: "a print that leaps and comes back",
    check: "outlier",
    plant: (day, chance) => change(day, chance, "trade", 1, ({ price }) => ({ price: scaled(price, 2) })),
  },
  {
    name: "a side that is none",
    check: "set",
    plant: (day, chance) => change(day, chance, "trade", 2, () => ({ side: "both" as never })),
  },
  {
    name: "rows that the other store has otherwise",
    check: "unequal",
    asked: "lake",
    // Each is found once in hot and once in cold.
    plant(day, chance) {
      const origins = change(day, chance, "quote", 2, ({ bidSize }) => ({ bidSize: `${bidSize}1` }));
      return [...origins, ...origins];
    },
  },
  {
    name: "a file that lost rows",
    check: "file",
    notHot: "hot has no files, and no ledger that would count their rows",
    plant(day, chance) {
      const places = placesOf(day, "quote", "TTF-GAS");
      const first = chance.below(places.length - 2);
      const lost = new Set(places.slice(first, first + 2));
      day.ticks = day.ticks.filter((_, i) => !lost.has(i));
      return [null];
    },
  },
  {
    name: "amounts that are floats",
    check: "schema",
    notHot: "hot has no files; a column of it takes no other type",
    plant(day) {
      day.retyped = { price: "DOUBLE" };
      return new Array(day.files).fill(null);
    },
  },
];
