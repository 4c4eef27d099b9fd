/**
 * The one websocket client: everything that a venue says live, as it says it, and what becomes of the connections.
 *
 * It connects as often as the venue's limits ask for, goes on for ever, and says so: sockets that close, are silent or
 * are read too slowly are replaced, and so are those whose time is nearly over, before it is. What that means for ticks
 * is told by `feed/continuity` (states, gaps) and `feed/overlap` (nothing twice); `feed/rest` asks what is not said live.
 * **In** a venue and a subscription, **Out** frames and events. **Knows** `venue`, `patience`, `failure`, `world`.
 */
import { Misuse, shownUrl } from "./failure.ts";
import { type Authorizing, CODE_LENGTH_MIN } from "./feed/authorize.ts";
import { chunksOf } from "./feed/asking.ts";
import type { Manner } from "./feed/connection.ts";
import { Line } from "./feed/line.ts";
import { type Clock, Pace } from "./feed/pace.ts";
import { Queue } from "./feed/queue.ts";
import type { Renewals } from "./feed/renewals.ts";
import type { Channel, Live, Subscription, Venue } from "./venue.ts";
import type { Trying, World } from "./world.ts";

/** A venue's words: what came over a socket, numbered on it from 0. */
export interface Frame {
  readonly kind: "frame";
  /** Name of the connection, fit for a tick's `frame`. */
  readonly connection: string;
  readonly number: number;
  /** µs since the epoch, when it was seen first. */
  readonly receivedTime: number;
  /** As it was sent; of bytes, their base64. */
  readonly text: string;
}

/**
 * Why a connection is over: the venue or the net `closed` it; it was `silent`; its reader was too slow (`overflow`);
 * another one stands in its place, beside which it spoke to the end (`rollover`) or said nothing of the market (`quiet`);
 * every symbol was `refused`; the follower was `stopped`.
 */
export type Why = "closed" | "silent" | "quiet" | "overflow" | "rollover" | "refused" | "stopped";

/**
 * What became of a connection, in its place among its frames: all frames of a connection lie between its `connected` and
 * its `disconnected`. Details are a stranger's words.
 */
export type FeedEvent =
  & {
    readonly kind: "event";
    readonly connection: string;
    /** µs since the epoch. */
    readonly receivedTime: number;
    /** Whom it is about; of a refusal, nobody where the venue does not say whom it means. */
    readonly symbols: readonly string[];
  }
  & (
    /** `replaces` names the connection beside which it was opened, which still serves. */
    | { readonly event: "connected"; readonly replaces: string | null }
    /** Everything that was asked for was answered, or taken without a word. */
    | { readonly event: "subscribed" }
    | { readonly event: "refused"; readonly detail: string }
    /** Nothing came for too long; it is disconnected then. */
    | { readonly event: "silent" }
    /** `successor` names the one that is subscribed in its place: after a `rollover` nothing was missed. `code`: of the close frame. */
    | {
      readonly event: "disconnected";
      readonly why: Why;
      readonly code: number | null;
      readonly detail: string | null;
      readonly successor: string | null;
    }
  );

export type Received = Frame | FeedEvent;

/** How a venue is followed. */
export interface Following {
  /** Scheme, host and port instead of the venue's own, and of its REST, where that is asked for the address. */
  readonly base?: string;
  readonly rest?: string;
  /** The secret that the venue asks for. It is never shown. */
  readonly token?: string;
  /** Begins the names of the connections, so that they are this run's alone: up to 48 letters, digits, `_`, `.`, `-`. */
  readonly run: string;
  /** Ends it: sockets are closed, and what was received until then is still handed over. */
  readonly signal: AbortSignal;
  /** Whole µs since the epoch. */
  readonly now: () => number;
  readonly world: World & { readonly trying: Trying };
  /** Instead of the venue's own, ms: what never rests may be missed sooner. */
  readonly silentMs?: number;
  /** Whether the symbol may be silent at this time, µs: outside its session. A socket of such symbols alone is left open. */
  readonly isQuiet?: (symbol: string, time: number) => boolean;
  /** Tells which books are to be subscribed to again. */
  readonly renewals?: Renewals;
  /** Frames that one connection may be ahead of the reader. */
  readonly queueMax?: number;
}

/** Frames that one connection may be ahead of its reader, unless told otherwise. */
const QUEUE_MAX = 20_000;

/**
 * Follows a subscription until the signal. A reader who stops early ends it as well.
 *
 * The queue is bounded. A socket cannot be asked to wait, so a connection whose reader is more than `queueMax` frames
 * behind is let go of, what comes meanwhile is lost (a `gap`, as after every break), and it is opened again when half of
 * the queue was read.
 *
 * An outage is tried again, with pauses of full jitter up to a minute, until it has lasted as long as the world allows.
 * A venue that asks to be left alone (403, 418, 429) is left alone for half of that at least.
 * @throws {Misuse} where the venue is not spoken to, wants another token, or refuses every symbol
 * @throws {Outage} when a connection cannot be had for so long
 */
export async function* follow(
  venue: Venue,
  subscription: Subscription,
  following: Following,
): AsyncGenerator<Received, void, undefined> {
  const { live, base, address } = placeOf(venue, subscription, following);
  const { signal: stop, now, world, token, run } = following;
  const clock: Clock = { now, pause: world.trying.pause };
  const channels = [...new Set(subscription.channels)];
  const manner: Manner = {
    live,
    channels,
    clock,
    silentMs: following.silentMs ?? live.silentMs,
    isQuiet: following.isQuiet ?? (() => false),
    renewals: following.renewals ?? null,
    hide: (text) => hidden(text, token),
  };
  const queue = new Queue<Received>(following.queueMax ?? QUEUE_MAX);
  const over = new AbortController();
  const signal = AbortSignal.any([stop, over.signal]);
  // Venues bound how often somebody connects; many lines begin one after the other.
  const connects = new Pace(1, 1_000, clock);
  let connections = 0;
  const symbolsMax = Math.max(1, live.symbolsMax?.(channels) ?? Math.floor(live.topicsMax / channels.length));
  const lines = chunksOf([...new Set(subscription.symbols)], symbolsMax).map((symbols) =>
    new Line({
      venue: venue.name,
      secret: live.secret,
      base,
      address: address(symbols),
      symbols,
      manner,
      queue,
      connects,
      world,
      nextName: () => `${run}.${connections++}`,
    })
  );
  const failures: unknown[] = [];
  const running = lines.map(async (line) => {
    try {
      return await line.run(signal);
    } catch (error) {
      failures.push(error);
      over.abort();
      return null;
    }
  });
  const ended = Promise.all(running).then((words) => {
    queue.end();
    return words;
  });
  try {
    for (let received; (received = await queue.take()) !== undefined;) yield received;
    const refusals = await ended;
    if (failures.length > 0) throw failures[0];
    const words = refusals.find((said) => said !== null) ?? null;
    if (words === null || stop.aborted) return;
    throw new Misuse(
      `Cannot follow "${venue.name}": it refuses every symbol (${words}), must be asked for some that it has`,
    );
  } finally {
    over.abort();
    await ended;
  }
}

/** Where the venue is spoken to. @throws {Misuse} where it is not, or not so */
function placeOf(venue: Venue, subscription: Subscription, { base: other, rest: otherRest, token }: Following): {
  readonly live: Live;
  /** What may be shown of the address. */
  readonly base: string;
  readonly address: (symbols: readonly string[]) => string | Authorizing;
} {
  const says = (state: string, wanted: string): Misuse =>
    new Misuse(`Cannot follow "${venue.name}": ${state}, must ${wanted}`);
  const { live } = venue;
  if (live === undefined) throw says("it is known by its files alone", "be a venue that is spoken to");
  const { symbols, channels } = subscription;
  const strange = channels.find((channel: Channel) => !live.channels.includes(channel));
  if (strange !== undefined) throw says(`it has no channel "${strange}"`, `be asked for ${live.channels.join(", ")}`);
  if (symbols.length === 0 || channels.length === 0) throw says("nothing is asked for", "have a symbol and a channel");
  if (live.secret !== undefined && (token ?? "") === "") {
    throw says(`${live.secret} is not set`, "be given the venue's token in it");
  }
  const base = (other ?? live.base).replace(/\/+$/, "");
  if (!/^wss?:\/\/[^/?#]+$/.test(base) || !URL.canParse(base)) {
    throw says(`its base is "${shownUrl(base)}"`, "be spoken to at wss:// with a host and nothing else");
  }
  const { authorize } = live;
  if (authorize === undefined) {
    return { live, base: shownUrl(base), address: (symbols) => base + live.path({ symbols, channels }, token) };
  }
  const rest = (otherRest ?? live.rest?.base ?? "").replace(/\/+$/, "");
  if (!/^https?:\/\/[^/?#]+$/.test(rest) || !URL.canParse(rest)) {
    throw says(`its REST is "${shownUrl(rest)}"`, "be asked at https:// with a host and nothing else");
  }
  // What no header can hold would be shown by whoever refuses it.
  if (!/^[!-~]+$/.test(token ?? "")) throw says(`${live.secret} holds no token`, "be given the venue's token in it");
  const asking: Authorizing = { authorize, rest, base, isOther: other !== undefined, token: token ?? "" };
  return { live, base: shownUrl(base), address: () => asking };
}

/** `text` without the token, however it is spelled in a URL: what is shorter than any token is none. */
function hidden(text: string, token: string | undefined): string {
  if (token === undefined || token.length < CODE_LENGTH_MIN) return text;
  return [token, encodeURIComponent(token)].reduce((shown, secret) => shown.replaceAll(secret, "***"), text);
}
