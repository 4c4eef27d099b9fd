import assert from "@std/assert";
import { calendarOf, CALENDARS, gasDay, openCalendar, type Session } from "./calendar.ts";
import type { Schedule } from "./calendar/schedule.ts";
import { Calendar } from "./calendar/sessions.ts";
import { Misuse } from "./failure.ts";
import { openVenue, VENUES } from "./venue.ts";
import { mappedLines, recorded, RECORDINGS } from "../testdata/recordings.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;
const recording = recorded("calendar");

const HOUR = 3_600_000_000;
const micros = (utc: string): number => Date.parse(utc) * 1000;
/** A session as `from to`, in UTC. */
const said = ({ opens, closes }: Session): string =>
  [opens, closes].map((time) => new Date(time / 1000).toISOString().slice(0, 16)).join(" ");
const saidOf = (name: string, date: string): string[] => openCalendar(name).sessionsOf(date).map(said);
const misuse = (message: string) => (error: unknown) => error instanceof Misuse && error.message === message;

Deno.test("a calendar that is unknown is named with those that there are", options, () => {
  assert.throws(
    () => openCalendar("toString"),
    misuse(
      'Cannot open calendar "toString": it is unknown, must be one of 24/7, us-equities, nse, ice-endex',
    ),
  );
});

Deno.test("a session is open from the µs at which it opens until the one at which it closes", options, () => {
  const calendar = openCalendar("us-equities");
  const session = calendar.sessionsOf("2012-06-21")[0]!;
  assert.deepEqual(session, {
    date: "2012-06-21",
    phase: "core",
    opens: micros("2012-06-21T13:30:00Z"),
    closes: micros("2012-06-21T20:00:00Z"),
    isEarlyClose: false,
  });
  assert.deepEqual(
    [session.opens - 1, session.opens, session.closes - 1, session.closes].map((time) => calendar.isOpen(time)),
    [false, true, true, false],
  );
  assert.deepEqual(calendar.sessionAt(session.opens), session);
  assert.equal(calendar.sessionAt(session.closes), null);
});

Deno.test("what lies around a session has a phase, and is no open session", options, () => {
  const calendar = openCalendar("us-equities");
  assert.deepEqual(calendar.spansOf("2024-07-03").map((span) => `${span.phase} ${said(span)}`), [
    "pre 2024-07-03T08:00 2024-07-03T13:30",
    "core 2024-07-03T13:30 2024-07-03T17:00",
    "post 2024-07-03T17:00 2024-07-03T21:00",
  ]);
  const phases = ["07:59", "08:00", "13:30", "17:00", "21:00"].map((time) =>
    calendar.spanAt(micros(`2024-07-03T${time}:00Z`))?.phase ?? null
  );
  assert.deepEqual(phases, [null, "pre", "core", "post", null]);
  assert.equal(calendar.sessionAt(micros("2024-07-03T08:00:00Z")), null);
});

Deno.test("a date that ends early says so, one that does not says so too", options, () => {
  const isEarly = (name: string, date: string) =>
    openCalendar(name).sessionsOf(date).map(({ isEarlyClose }) => isEarlyClose);
  assert.deepEqual(isEarly("us-equities", "2024-11-29"), [true]);
  assert.deepEqual(isEarly("us-equities", "2024-11-27"), [false]);
  // A Saturday of two short sessions, an evening, and a Sunday of the usual hours.
  assert.deepEqual(isEarly("nse", "2024-03-02"), [true, true]);
  assert.deepEqual(isEarly("nse", "2024-11-01"), [false]);
  assert.deepEqual(isEarly("nse", "2026-02-01"), [false]);
});

Deno.test("a market that never rests has days of UTC, one after the other", options, () => {
  const calendar = openCalendar("24/7");
  assert.deepEqual(saidOf("24/7", "2024-12-25"), ["2024-12-25T00:00 2024-12-26T00:00"]);
  const midnight = micros("2024-12-29T00:00:00Z");
  assert.equal(calendar.sessionAt(midnight - 1)?.date, "2024-12-28");
  assert.equal(calendar.sessionAt(midnight)?.date, "2024-12-29");
  assert.equal(calendar.nextOpen(midnight), midnight + 24 * HOUR);
  for (const venueTime of [0, micros("2001-09-09T01:46:40Z"), micros("9999-12-30T23:59:59Z")]) {
    assert.equal(calendar.isOpen(venueTime), true);
  }
});

/** The Sundays of a month on which a zone's clocks change, by the rule that held in all the years. */
function changes(month: number, which: number, from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => {
    const first = new Temporal.PlainDate(from + i, month, 1);
    const days = Array.from({ length: first.daysInMonth }, (_, day) => first.add({ days: day }));
    return days.filter(({ dayOfWeek }) => dayOfWeek === 7).at(which)!.toString();
  });
}
const moved = (date: string, days: number): string => Temporal.PlainDate.from(date).add({ days }).toString();

/** Holds the Thursday before each Sunday and the Tuesday behind it, which no Easter reaches, against hours in UTC. */
function holdsOver(name: string, sundays: readonly string[], before: readonly string[], after: readonly string[]) {
  for (const sunday of sundays) {
    for (const [days, [opens, closes]] of [[-3, before], [2, after]] as const) {
      const date = moved(sunday, days);
      assert.deepEqual(saidOf(name, date), [`${date}T${opens} ${date}T${closes}`]);
    }
    assert.deepEqual(saidOf(name, sunday), []);
  }
}

Deno.test(
  "New York's sessions keep their place on its clock over every change of it from 2012 to 2027",
  options,
  () => {
    const spring = changes(3, 1, 2012, 2027), autumn = changes(11, 0, 2012, 2027);
    assert.deepEqual([spring[0], spring[15], autumn[0], autumn[15]], [
      ...["2012-03-11", "2027-03-14", "2012-11-04", "2027-11-07"],
    ]);
    const winter = ["14:30", "21:00"], summer = ["13:30", "20:00"];
    holdsOver("us-equities", spring, winter, summer);
    holdsOver("us-equities", autumn, summer, winter);
  },
);

Deno.test(
  "Amsterdam's sessions keep their place on its clock over every change of it from 2014 to 2026",
  options,
  () => {
    const spring = changes(3, -1, 2014, 2025), autumn = changes(10, -1, 2014, 2025);
    assert.deepEqual([spring[0], spring[11], autumn[0], autumn[11]], [
      ...["2014-03-30", "2025-03-30", "2014-10-26", "2025-10-26"],
    ]);
    const winter = ["07:00", "17:00"], summer = ["06:00", "16:00"];
    holdsOver("ice-endex", spring, winter, summer);
    holdsOver("ice-endex", autumn, summer, winter);
    // In 2026 the day is longer, and in summer it begins on the evening before, in UTC.
    assert.deepEqual(
      ["2026-03-26", "2026-03-31", "2026-10-22", "2026-10-27"].flatMap((date) => saidOf("ice-endex", date)),
      [
        "2026-03-26T00:50 2026-03-26T23:00",
        "2026-03-30T23:50 2026-03-31T22:00",
        "2026-10-21T23:50 2026-10-22T22:00",
        "2026-10-27T00:50 2026-10-27T23:00",
      ],
    );
  },
);

Deno.test("India has no summer time", options, () => {
  for (const date of ["2024-01-25", "2024-07-01"]) {
    assert.deepEqual(saidOf("nse", date), [`${date}T03:45 ${date}T10:00`]);
  }
});

Deno.test("hours change on the date since when they hold", options, () => {
  assert.deepEqual(["2026-02-20", "2026-02-23"].flatMap((date) => saidOf("ice-endex", date)), [
    "2026-02-20T07:00 2026-02-20T17:00",
    "2026-02-23T00:50 2026-02-23T23:00",
  ]);
  const posts = ["2026-07-31", "2026-08-03"].map((date) => openCalendar("nse").spansOf(date).map(said).at(-1));
  assert.deepEqual(posts, ["2026-07-31T10:10 2026-07-31T10:30", "2026-08-03T10:00 2026-08-03T10:30"]);
});

Deno.test("a date may have two sessions, and none is open in between", options, () => {
  const calendar = openCalendar("nse");
  assert.deepEqual(saidOf("nse", "2024-05-18"), [
    "2024-05-18T03:45 2024-05-18T04:30",
    "2024-05-18T06:15 2024-05-18T07:10",
  ]);
  const between = micros("2024-05-18T05:00:00Z");
  assert.equal(calendar.sessionAt(between), null);
  assert.equal(calendar.nextOpen(between), micros("2024-05-18T06:15:00Z"));
});

/** A venue as futures have it: each date's session opens on the evening before. */
const OVERNIGHT: Schedule = {
  zone: "America/Chicago",
  covers: { from: "2024-03-04", to: "2024-03-15" },
  regimes: [{ since: "2024-03-04", weekdays: [1, 2, 3, 4, 5], hours: [["core", "17:00", "16:00"]] }],
  closed: { 2024: "03-07" },
  special: [{ hours: [["core", "17:00", "12:00"]], dates: { 2024: "03-08" } }],
  unsure: { 2024: "03-14" },
};

Deno.test("a session may begin on the evening before its date", options, () => {
  const calendar = new Calendar("overnight", OVERNIGHT);
  assert.deepEqual(calendar.sessionsOf("2024-03-05").map(said), ["2024-03-04T23:00 2024-03-05T22:00"]);
  assert.equal(calendar.sessionAt(micros("2024-03-04T23:00:00Z"))?.date, "2024-03-05");
  assert.equal(calendar.isOpen(micros("2024-03-05T22:00:00Z")), false);
  // The evening before a holiday has no session, and the holiday's own evening has the next date's.
  assert.equal(calendar.isOpen(micros("2024-03-06T23:30:00Z")), false);
  assert.equal(calendar.nextOpen(micros("2024-03-06T22:00:00Z")), micros("2024-03-07T23:00:00Z"));
  assert.deepEqual(calendar.sessionsOf("2024-03-08").map(({ isEarlyClose }) => isEarlyClose), [true]);
  // Monday's session begins on Sunday, after the clocks have changed.
  assert.equal(calendar.nextOpen(micros("2024-03-08T18:00:00Z")), micros("2024-03-10T22:00:00Z"));
  assert.equal(calendar.sessionAt(micros("2024-03-10T22:00:00Z"))?.date, "2024-03-11");
});

Deno.test("a calendar tells nothing of an evening that belongs to a date which it does not know", options, () => {
  const calendar = new Calendar("overnight", OVERNIGHT);
  const first = micros("2024-03-03T23:00:00Z"), end = micros("2024-03-15T22:00:00Z");
  assert.deepEqual([first - 1, first, end - 1, end].map((time) => calendar.knows(time)), [false, true, true, false]);
  assert.throws(
    () => calendar.isOpen(end),
    misuse(
      'Cannot say session of "2024-03-15T22:00:00.000Z": calendar "overnight" covers 2024-03-04 to 2024-03-15, ' +
        "must be a date within",
    ),
  );
  const unsure = micros("2024-03-13T22:00:00Z");
  assert.deepEqual([unsure - 1, unsure, unsure + 23 * HOUR, unsure + 24 * HOUR].map((time) => calendar.knows(time)), [
    ...[true, false, false, true],
  ]);
  assert.throws(() => calendar.nextOpen(unsure - HOUR), /"2024-03-14": its hours are not known/);
  assert.throws(() => calendar.nextOpen(end - HOUR), /"2024-03-16": calendar "overnight" covers/);
});

Deno.test("a date that no source covers is an error that says what is covered", options, () => {
  const calendar = openCalendar("nse");
  for (const date of ["2011-12-30", "2027-01-01"]) {
    assert.equal(calendar.knows(date), false);
    assert.throws(
      () => calendar.sessionsOf(date),
      misuse(
        `Cannot say session of "${date}": calendar "nse" covers 2012-01-01 to 2026-12-31, must be a date within`,
      ),
    );
  }
  assert.throws(() => calendar.nextOpen(micros("2026-12-31T10:00:00Z")), /"2027-01-01"/);
  for (const date of ["2024-02-30", "2024-2-3", "", "2024-01-01T00:00:00Z"]) {
    assert.equal(calendar.knows(date), false);
    assert.throws(
      () => calendar.sessionsOf(date),
      misuse(`Cannot say session of "${date}": it is no date, must be YYYY-MM-DD`),
    );
  }
  for (const time of [NaN, Infinity, -1, micros("2026-12-31T18:30:00Z")]) {
    assert.equal(calendar.knows(time), false);
    assert.throws(() => calendar.sessionAt(time), Misuse);
  }
  assert.equal(calendar.knows(micros("2026-12-31T18:29:59Z")), true);
});

Deno.test("a date whose hours no source says is an error, and not a holiday", options, () => {
  const calendar = openCalendar("nse");
  for (const time of ["2026-11-07T18:30:00Z", "2026-11-08T18:29:59Z"]) {
    assert.equal(calendar.knows(micros(time)), false);
    assert.throws(
      () => calendar.isOpen(micros(time)),
      misuse(
        'Cannot say session of "2026-11-08": its hours are not known to calendar "nse", must be another date',
      ),
    );
  }
  assert.throws(() => calendar.sessionsOf("2026-11-08"), Misuse);
  assert.equal(calendar.isOpen(micros("2026-11-07T18:29:59Z")), false);
  assert.equal(calendar.isOpen(micros("2026-11-09T04:00:00Z")), true);
});

Deno.test("every moment is in the session that its date says, in any order of asking", options, () => {
  for (const name of Object.keys(CALENDARS)) {
    const asked = openCalendar(name), fresh = openCalendar(name);
    const first = micros("2025-12-01T00:00:00Z"), steps = 2 * 365;
    // A step that is prime to their number comes to each of them once.
    for (let i = 0; i < steps; i++) {
      const time = first - (i * 997 % steps) * 4.8 * HOUR;
      if (!asked.knows(time)) continue;
      const date = new Date(time / 1000).toISOString().slice(0, 10);
      const near = [-1, 0, 1].map((days) => moved(date, days)).filter((date) => fresh.knows(date));
      const expected = near.flatMap((date) => fresh.spansOf(date)).filter((span) =>
        time >= span.opens && time < span.closes
      );
      assert.deepEqual(asked.spanAt(time), expected[0] ?? null, `${name} ${time}`);
    }
  }
});

Deno.test("a gas day has 23 or 25 hours where the clocks change, by its own clock from six to six", options, () => {
  const hours = (date: string) => gasDay(date).hours;
  for (const sunday of changes(3, -1, 2012, 2027)) {
    assert.deepEqual([-2, -1, 0].map((days) => hours(moved(sunday, days))), [24, 23, 24], sunday);
  }
  for (const sunday of changes(10, -1, 2012, 2027)) {
    assert.deepEqual([-2, -1, 0].map((days) => hours(moved(sunday, days))), [24, 25, 24], sunday);
  }
  assert.deepEqual(gasDay("2025-03-29"), {
    date: "2025-03-29",
    begins: micros("2025-03-29T05:00:00Z"),
    ends: micros("2025-03-30T04:00:00Z"),
    hours: 23,
  });
  assert.throws(() => gasDay("2025-02-29"), Misuse);
});

Deno.test("an instrument follows the calendar that is known of it, or none", options, () => {
  for (
    const [venue, symbol, expected] of [
      ["binance", "BTCUSDT", "24/7"],
      ["binance-usdm", "BTCUSDT", "24/7"],
      ["bybit", "BTCUSDT", "24/7"],
      ["bybit-linear", "BTCUSDT", "24/7"],
      ["coinbase", "BTC-USD", "24/7"],
      ["coinbase-advanced", "BTC-USD", "24/7"],
      ["coinbase-advanced", "BIT-28NOV26-CDE", null],
      ["kraken", "BTC/USD", "24/7"],
      ["kraken", "AAPLx/USD", null],
      ["sim", "TTF-GAS", "24/7"],
      ["finnhub", "AAPL", "us-equities"],
      ["finnhub", "BINANCE:BTCUSDT", "24/7"],
      ["finnhub", "OANDA:EUR_USD", null],
      ["finnhub", "IC MARKETS:1", null],
      ["finnhub", "SAP.DE", null],
      ["lobster", "AMZN", "us-equities"],
      ["upstox", "NSE_EQ|INE090A01021", "nse"],
      ["upstox", "NSE_INDEX|Nifty 50", "nse"],
      ["upstox", "NSE_FO|45450", null],
      ["upstox", "BSE_EQ|INE090A01021", null],
      ["upstox", "MCX_FO|1", null],
      ["elsewhere", "AAPL", null],
    ] as const
  ) assert.equal(calendarOf(venue, symbol), expected, `${venue} ${symbol}`);
  const symbols = ["BTCUSDT", "AAPL", "NSE_EQ|INE090A01021"];
  for (const venue of VENUES) assert.ok(symbols.some((symbol) => calendarOf(venue, symbol) !== null), venue);
});

Deno.test("what LOBSTER recorded on 2012-06-21 lies in that date's session", recording, async () => {
  const calendar = openCalendar("us-equities");
  const [session] = calendar.sessionsOf("2012-06-21");
  let ticks = 0;
  const path = `${RECORDINGS}/lobster/AMZN_2012-06-21_level1_message.csv.gz`;
  for await (const { ticks: of } of mappedLines(await openVenue("lobster"), path)) {
    for (const { eventTime } of of) {
      assert.deepEqual(calendar.sessionAt(eventTime), session);
      ticks++;
    }
  }
  assert.ok(ticks > 0);
});
