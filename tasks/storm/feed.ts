/**
 * A storm over a live feed: a pretended venue on a real socket, a client that follows and collects it, faults one after
 * the other by seeded chance, and then calm.
 *
 * Time moves only as the market does. Whoever awaits the network is waited for before it moves on, so that the order of
 * things hangs on the seed and not on the machine.
 * **In** a venue, a seed, how many faults. **Out** what struck, what was collected, and what of it is wrong.
 */
import { Chance } from "../../lib/chance.ts";
import { HANDSHAKE_MS } from "../../lib/feed/handshake.ts";
import { REPLY_MS } from "../../lib/feed/rest.ts";
import type { AnswerFault, Planted } from "../../lib/mischief.ts";
import { listener } from "../../lib/patience.ts";
import { Pretend } from "../../lib/pretend.ts";
import { openVenue, type Venue } from "../../lib/venue.ts";
import type { Trying, World } from "../../lib/world.ts";
import { Directly, type Follower, type Scene, TOKEN } from "./follower.ts";
import { type Found, judged } from "./found.ts";
import { Tide } from "./tide.ts";

/** What is done to a venue: one fault, or some that only strike together. */
export type Deed =
  | "drop"
  | "twice"
  | "swap"
  | "garble"
  | "stall"
  | "halfOpen"
  | "close"
  | "abort"
  | "checksum"
  | "reset"
  | "shutdown"
  | "refused"
  | "unanswered"
  | "rollover"
  | "rollover struck";
/** How a venue is stormed. */
export interface Storm {
  readonly as: string;
  /** Streams whose frames may be lost, doubled or swapped: those of which that can be known. */
  readonly frames: readonly ("trade" | "quote" | "book")[];
  readonly deeds: readonly Deed[];
  /** What may be wrong with an answer by REST, and which lost frame has one asked for. */
  readonly answers?: { readonly faults: readonly AnswerFault[]; readonly after: "trade" | "book" };
  /** Levels of the books that are built, where it has books. */
  readonly depth?: number;
  /** What comes of most snapshots that are held against books; absent where none are. */
  readonly compares?: "equal" | "unnumbered";
}

const SYMBOLS = 3;
/**
 * Time moves in whole steps of it, ms: no two events of the market have the same. What is left of a client's wait after some
 * of them is never a round number, so that nothing looks like a wait for the network that is none.
 */
const GRAIN_MS = 7;
const LIFETIME_MS = 400_000;
/** Rounds of waiting within which everything must be well again. */
const ROUNDS_MAX = 2_000;
/** Rounds in which two connections may be heard at once, one by one. */
const STROLLS_MAX = 100;
const CODES = [1000, 1001, 1008, 1011, 1012, 1013];
/** One storm. `follow` begins to follow. */
export async function storm(
  plan: Storm,
  seed: number,
  faults: number,
  follow: (scene: Scene) => Follower | Promise<Follower> = (scene) => new Directly(scene),
): Promise<Found> {
  const { as, frames, deeds, depth } = plan;
  const chance = Chance.of(seed, 40);
  const jitter = Chance.of(seed, 41);
  const known = await openVenue(as);
  // Kraken, which beats every 30 s, is asked nothing by REST.
  const tide = new Tide([HANDSHAKE_MS, REPLY_MS].filter((ms) => ms !== known.live!.heartbeat?.everyMs));
  const pretend = await Pretend.open({
    ...{ as, seed, symbols: SYMBOLS, levels: 60, now: tide.now, tradesMax: Infinity, booksMax: 1_000_000 },
  });
  const { symbols } = pretend;
  const isRenewed = deeds.some((deed) => deed.startsWith("rollover"));
  // This market never rests.
  const { resting: _resting, ...restless } = known.live!;
  const venue: Venue = { ...known, live: { ...restless, ...(isRenewed && { lifetimeMs: LIFETIME_MS }) } };
  /** Whether it is asked for its address first. */
  const isAsked = known.live!.authorize !== undefined;
  const report = (): void => {};
  const world: World & { readonly trying: Trying } = {
    now: () => Math.floor(tide.time / 1_000),
    env: (name) => name === known.live!.secret ? TOKEN : undefined,
    report,
    retryForMs: 100_000_000,
    trying: {
      random: () => (jitter.draw() >>> 0) / 2 ** 32,
      pause: tide.pause,
      signal: new AbortController().signal,
      hear: listener(report, () => {}),
    },
  };
  const follower = await follow({ plan, pretend, venue, now: tide.now, world });
  // The venue numbers connections from 1, their followers from 0.
  const numberOfName = (name: string): number => Number(name.slice(name.lastIndexOf(".") + 1)) + 1;
  const struckBy = (...faults: readonly string[]): ReadonlySet<number> =>
    new Set(pretend.truth.faults.filter(({ fault }) => faults.includes(fault)).map(({ connection }) => connection!));
  /** Connections on which nothing more comes, and those that the venue has ended. */
  const deaf = (): ReadonlySet<number> => struckBy("stall", "halfOpen");
  const ended = (): ReadonlySet<number> => struckBy("close", "abort");
  const open = (): string[] => [...follower.open.keys()];

  /** Until everybody has heard what was said, and has said what there is to say to it. */
  async function settle(): Promise<void> {
    for (let i = 0; i < 2; i++) {
      const over = ended();
      await follower.until(() => !open().some((name) => over.has(numberOfName(name))));
      await tide.free();
      await pretend.heard();
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  async function pass(steps: number, ms: number): Promise<void> {
    for (let i = 0; i < steps; i++) {
      tide.go(ms);
      pretend.step();
    }
    await settle();
  }

  /** On to the next thing that somebody waits for, and so slowly that nobody is taken for silent who is not. */
  const hurry = (): Promise<void> => {
    const steps = 1 + chance.below(3);
    const left = Math.min((tide.next - tide.time) / 1_000 / (1 + chance.below(2)), venue.live!.silentMs / 3);
    return pass(steps, GRAIN_MS * Math.max(1, Math.ceil(left / GRAIN_MS / steps)));
  };
  const stroll = (): Promise<void> => pass(1 + chance.below(6), GRAIN_MS * (1 + chance.below(5)));

  const isWell = (): boolean => {
    const gone = deaf();
    return open().length > 0 && [...follower.open].every(([name, isLive]) => isLive && !gone.has(numberOfName(name))) &&
      (depth === undefined || symbols.every((symbol) => follower.synced.get(symbol) === true));
  };
  async function until(what: string, isSo: () => boolean): Promise<void> {
    for (let round = 0; !isSo(); round++) {
      if (round === ROUNDS_MAX) throw new Error(`${as}, seed ${seed}: never ${what}`);
      await hurry();
    }
  }

  const plant = (...planted: Planted[]): () => boolean => {
    const before = pretend.struck;
    for (const fault of planted) pretend.plant(fault);
    return () => pretend.struck >= before + planted.length;
  };
  const one = <T>(list: readonly T[]): T => list[chance.below(list.length)]!;
  const anyFrame = (): Omit<Planted, "fault"> => ({
    symbol: one(symbols),
    stream: one(frames),
    after: chance.below(4),
  });
  const ends = (): Planted => ({ fault: one(["abort", "close"]), code: one(CODES), after: chance.below(4) });

  const comesAnother = (before: readonly string[]): Promise<void> =>
    until("rolled over", () => open().length > before.length || open().some((name) => !before.includes(name)));
  /** What both say is said while there are two. */
  const whileTwo = async (): Promise<void> => {
    for (let round = 0; open().length > 1 && round < STROLLS_MAX; round++) await stroll();
  };

  async function strike(deed: Deed): Promise<void> {
    switch (deed) {
      case "drop":
      case "twice":
      case "swap":
        return await until(`struck by ${deed}`, plant({ fault: deed, ...anyFrame() }));
      case "garble":
        // That a book lost something is known wherever it comes, even where nothing is numbered.
        return await until("garbled", plant({ fault: deed, ...anyFrame(), stream: one([...frames, "book"]) }));
      case "refused":
        // As often as there is patience for: pauses grow.
        return await until(
          "refused",
          plant(
            { fault: one(["html", "tooMany", "banned"]), at: isAsked ? one(["upgrade", "request"]) : "upgrade" },
            ends(),
          ),
        );
      case "unanswered": {
        const isStruck = plant({ fault: one(plan.answers!.faults), at: "request" });
        // Not every frame that is lost has something asked for.
        const { after: stream } = plan.answers!;
        let isLost = (): boolean => true;
        return await until("unanswered", () => {
          if (isLost()) isLost = plant({ fault: "drop", stream, symbol: one(symbols) });
          return isStruck();
        });
      }
      case "rollover":
      case "rollover struck": {
        await comesAnother(open());
        if (deed === "rollover struck") {
          const fault: Planted = one([
            { fault: one(["halfOpen", "stall"]) },
            ends(),
            ends(),
            { fault: one(["drop", "twice", "swap"]), ...anyFrame() },
          ]);
          plant({ ...fault, connection: numberOfName(one(open())) });
        }
        return await whileTwo();
      }
      case "shutdown": {
        const before = open();
        const isStruck = plant({ fault: deed, after: chance.below(6) });
        await until("told that it ends", isStruck);
        // Another one comes before it ends, or else when it has.
        await comesAnother(before);
        return await whileTwo();
      }
      default: {
        const about = deed === "checksum" || deed === "reset" ? { symbol: one(symbols) } : {};
        await until(`struck by ${deed}`, plant({ fault: deed, code: one(CODES), after: chance.below(6), ...about }));
      }
    }
  }

  try {
    await follower.until(() => follower.open.size > 0);
    await until("begun", () => isWell() && follower.last.size === symbols.length);
    for (let fault = 0; fault < faults; fault++) {
      await strike(one(deeds));
      // Some strike before the one before has healed.
      if (chance.below(4) > 0) await until(`well again after fault ${fault}`, isWell);
      for (let i = chance.below(3); i > 0; i--) await stroll();
    }
    // What was missed is told when something comes behind it.
    const isDone = (): boolean => {
      const since = pretend.truth.faults.at(-1)?.time ?? 0;
      return isWell() && symbols.every((symbol) => {
        const { time } = pretend.truth.trades(symbol).at(-1)!;
        return time > since && follower.last.get(symbol) === time;
      });
    };
    await until("calm", isDone);
    await settle();
    return judged(pretend, follower, venue, depth);
  } finally {
    await follower.close();
    await pretend.close();
  }
}
