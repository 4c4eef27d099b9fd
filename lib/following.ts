/**
 * How a user wants a venue followed: symbols, channels and hosts as flags have them, and the hosts that this reaches.
 *
 * **In** flags and a venue, **Out** a subscription and where it is asked for. **Knows** `venue`, `live`, `tick`, `failure`, `world`.
 */
import { Misuse } from "./failure.ts";
import type { LiveOptions } from "./live.ts";
import { isSymbol } from "./tick.ts";
import { type Channel, CHANNELS, type Venue } from "./venue.ts";
import type { World } from "./world.ts";

/** Characters that are shown of what is no symbol. */
const SHOWN_MAX = 64;

/** Flags, as they were given. */
export interface Wish {
  readonly symbols?: string | undefined;
  readonly channels: string;
  /** The websocket, and REST, instead of the venue's own. */
  readonly base?: string | undefined;
  readonly rest?: string | undefined;
  /** s */
  readonly "compare-every": number;
}

/** How the flags want the venue followed. @throws {Misuse} for a channel that there is not, or what can be no symbol */
export function liveOf(
  values: Wish,
  venue: Venue,
  { epoch, micros, world }: { readonly epoch: number; readonly micros: () => number; readonly world: World },
): LiveOptions {
  const { name, live } = venue;
  const channels = values.channels.split(",");
  const strange = channels.find((channel) => !(CHANNELS as readonly string[]).includes(channel));
  if (strange !== undefined) {
    throw new Misuse(`Cannot ingest channel "${strange}": it is unknown, must be one of ${CHANNELS.join(", ")}`);
  }
  const { trying } = world;
  if (trying === undefined) throw new Error("Cannot ingest live: nobody waits here, must be run by a crew");
  const token = live?.secret === undefined ? undefined : world.env(live.secret);
  const rest = restOf(values);
  return {
    // Of those that are asked for by default, the ones that the venue has.
    subscription: {
      symbols: symbolsIn(values.symbols ?? "", venue),
      channels: values.channels === CHANNELS.join() ? live?.channels ?? CHANNELS : channels as readonly Channel[],
    },
    run: `${name}-${epoch}`,
    ...(values.base !== undefined && { base: values.base }),
    ...(rest !== undefined && { rest }),
    ...(token !== undefined && { token }),
    compareEveryMs: values["compare-every"] * 1_000,
    micros,
    world: { ...world, trying },
  };
}

/** A list of symbols, as the venue writes them. @throws {Misuse} for what can be no symbol */
export function symbolsIn(list: string, { live }: Pick<Venue, "live">): string[] {
  const symbols = list.split(",").map((symbol) => symbol.trim()).filter((symbol) => symbol !== "")
    .map((symbol) => live?.spelled?.(symbol) ?? symbol);
  const strange = symbols.find((symbol): boolean => !isSymbol(symbol));
  if (strange === undefined) return symbols;
  const shown = strange.length > SHOWN_MAX ? `${strange.slice(0, SHOWN_MAX)}…` : strange;
  throw new Misuse(
    `Cannot ingest symbol "${shown}": no tick can have it, must be as the venue writes it, of 64 characters at most`,
  );
}

/** Where REST is asked for, if not at the venue's own: beside another websocket, unless it is said where. */
export function restOf({ base, rest }: Pick<Wish, "base" | "rest">): string | undefined {
  const { protocol, host } = URL.parse(base ?? "") ?? {};
  if (rest !== undefined || host === undefined || host === "") return rest;
  return `${protocol === "ws:" ? "http" : "https"}://${host}`;
}

/** The hosts, with their ports, that following reaches; of what is no URL none, since its door refuses it. */
export function hostsOf(wish: Pick<Wish, "base" | "rest">, { live }: Pick<Venue, "live">): string[] {
  return [wish.base ?? live?.base, restOf(wish) ?? live?.rest?.base].flatMap((url) => {
    const { protocol, hostname, port } = URL.parse(url ?? "") ?? {};
    if (hostname === undefined || hostname === "") return [];
    return [`${hostname}:${port || (protocol === "ws:" || protocol === "http:" ? 80 : 443)}`];
  });
}
