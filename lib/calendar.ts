/**
 * The door to calendars: when a market is open, which dates have no session, which end early. A calendar knows the dates
 * that its sources cover, and throws for all others, so that nobody takes a guess for a holiday; it holds no clock.
 * Residents: one schedule a file in `calendar/`, with its sources.
 *
 * **In** dates and µs, **Out** sessions. **Knows** `failure`.
 */
import { ICE_ENDEX } from "./calendar/ice_endex.ts";
import { NSE } from "./calendar/nse.ts";
import type { Schedule } from "./calendar/schedule.ts";
import { Calendar } from "./calendar/sessions.ts";
import { US_EQUITIES } from "./calendar/us_equities.ts";
import { Misuse } from "./failure.ts";

export { type GasDay, gasDay } from "./calendar/gas_day.ts";
export type { Phase } from "./calendar/schedule.ts";
export type { Calendar, Session } from "./calendar/sessions.ts";

/** A market that never rests: its days are those of UTC. */
const ALWAYS: Schedule = {
  zone: "UTC",
  covers: { from: "1970-01-01", to: "9999-12-30" },
  regimes: [{ since: "1970-01-01", weekdays: [1, 2, 3, 4, 5, 6, 7], hours: [["core", "00:00", "24:00"]] }],
  closed: {},
  special: [],
  unsure: {},
};

/** Every calendar that there is. */
export const CALENDARS = { "24/7": ALWAYS, "us-equities": US_EQUITIES, "nse": NSE, "ice-endex": ICE_ENDEX } as const;
export type CalendarName = keyof typeof CALENDARS;

/** The calendar of this name. @throws {Misuse} for an unknown one */
export function openCalendar(name: string): Calendar {
  if (!Object.hasOwn(CALENDARS, name)) {
    const names = Object.keys(CALENDARS).join(", ");
    throw new Misuse(`Cannot open calendar "${name}": it is unknown, must be one of ${names}`);
  }
  return new Calendar(name, CALENDARS[name as CalendarName]);
}

/** Exchanges of crypto as Finnhub names them before its symbols' colon. */
const CRYPTO = /^(?:BINANCE|BITFINEX|BITTREX|COINBASE|GEMINI|HITBTC|HUOBI|KRAKEN|KUCOIN|OKEX|POLONIEX|ZB):/;

/** Which calendar an instrument of a venue follows; null where that is not known. */
export function calendarOf(venue: string, symbol: string): CalendarName | null {
  switch (venue) {
    case "binance":
    case "binance-usdm":
    case "bybit":
    case "bybit-linear":
    case "coinbase":
      return "24/7";
    case "sim":
      // What never trades there but by a fault, at night.
      return symbol === "NIGHT-GAS" ? "ice-endex" : "24/7";
    case "coinbase-advanced":
      // Futures of its regulated exchange have hours of their own.
      return symbol.endsWith("-CDE") ? null : "24/7";
    case "kraken":
      // Of its shares as tokens, as AAPLx/USD, some rest at weekends.
      return /x\//.test(symbol) ? null : "24/7";
    case "finnhub":
      if (CRYPTO.test(symbol)) return "24/7";
      // A dot may name another country's exchange, a colon a broker of currencies.
      return /^[A-Z]+$/.test(symbol) ? "us-equities" : null;
    case "lobster":
      return "us-equities";
    case "upstox":
      return /^NSE_(?:EQ|INDEX)\|/.test(symbol) ? "nse" : null;
    default:
      return null;
  }
}
