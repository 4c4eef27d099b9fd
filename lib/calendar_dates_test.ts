import assert from "@std/assert";
import { CALENDARS, openCalendar } from "./calendar.ts";
import { type Dates, datesOf, type Schedule } from "./calendar/schedule.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;

const SCHEDULES: readonly (readonly [name: string, schedule: Schedule])[] = Object.entries(CALENDARS);

Deno.test(
  "a schedule names each date once, in order, within what it covers, and weekdays alone as closed",
  options,
  () => {
    for (const [name, { covers, regimes, closed, special, unsure }] of SCHEDULES) {
      const lists: Dates[] = [closed, unsure, ...special.map(({ dates }) => dates)];
      const all = lists.flatMap((dates) => {
        const named = datesOf(dates);
        assert.deepEqual(named, named.toSorted(), name);
        return named;
      });
      assert.equal(new Set(all).size, all.length, name);
      for (const date of all) {
        assert.equal(Temporal.PlainDate.from(date).toString(), date);
        assert.ok(date >= covers.from && date <= covers.to, `${name} ${date}`);
      }
      const sinces = regimes.map(({ since }) => since);
      assert.deepEqual(sinces, sinces.toSorted());
      assert.equal(sinces[0], covers.from);
      for (const date of datesOf(closed)) {
        const { weekdays } = regimes.findLast(({ since }) => since <= date)!;
        assert.ok(weekdays.includes(Temporal.PlainDate.from(date).dayOfWeek), `${name} ${date}`);
      }
      for (const { hours } of [...regimes, ...special]) {
        assert.ok(hours.some(([phase]) => phase === "core"));
        for (const [, opens, closes] of hours) assert.match(`${opens} ${closes}`, /^[0-2]\d:[0-5]\d [0-2]\d:[0-5]\d$/);
      }
    }
  },
);

Deno.test("spans of a calendar rise and never overlap, from date to date", options, () => {
  for (const [name, { covers }] of SCHEDULES) {
    const calendar = openCalendar(name);
    let last = -Infinity;
    let date = Temporal.PlainDate.from(covers.from < "2012" ? "2012-01-01" : covers.from);
    for (; date.year < 2028 && date.toString() <= covers.to; date = date.add({ days: 1 })) {
      if (!calendar.knows(date.toString())) continue;
      for (const { opens, closes } of calendar.spansOf(date.toString())) {
        assert.ok(opens >= last && closes > opens, `${name} ${date}`);
        last = closes;
      }
    }
  }
});

const day = (year: number, month: number, date: number) => new Temporal.PlainDate(year, month, date);

/** Easter Sunday, by the epacts of the Gregorian calendar. */
function easter(year: number): Temporal.PlainDate {
  const century = Math.floor(year / 100), golden = year % 19;
  const shift = century - Math.floor(century / 4) - Math.floor((8 * century + 13) / 25);
  const epact = (shift + 19 * golden + 15) % 30;
  const moon = epact - (epact > 28 || epact === 28 && golden > 10 ? 1 : 0);
  // Days from 21 March to the Sunday behind the full moon.
  const full = day(year, 3, 21).add({ days: moon });
  return full.add({ days: 7 - full.dayOfWeek % 7 });
}

Deno.test("Easter is reckoned right", options, () => {
  const known = ["2012-04-08", "2016-03-27", "2019-04-21", "2024-03-31", "2025-04-20", "2027-03-28", "2038-04-25"];
  assert.deepEqual(known.map((date) => easter(Number(date.slice(0, 4))).toString()), known);
});

/** The n-th of a weekday in a month, or the last one for -1. */
function nth(year: number, month: number, weekday: number, n: number): Temporal.PlainDate {
  const first = day(year, month, 1);
  const found = first.add({ days: (weekday - first.dayOfWeek + 7) % 7 });
  if (n > 0) return found.add({ weeks: n - 1 });
  const fifth = found.add({ weeks: 4 });
  return fifth.month === month ? fifth : found.add({ weeks: 3 });
}

/** A holiday at a weekend is kept on the Friday before or on the Monday behind it. */
function observed(date: Temporal.PlainDate): Temporal.PlainDate {
  return date.add({ days: date.dayOfWeek === 6 ? -1 : date.dayOfWeek === 7 ? 1 : 0 });
}

const isWeekday = ({ dayOfWeek }: Temporal.PlainDate) => dayOfWeek < 6;
const texts = (dates: readonly Temporal.PlainDate[]) => dates.map(String).toSorted();

Deno.test("closed dates of the United States are those of the exchanges' rule and four more", options, () => {
  const MOURNING_AND_STORM = ["2012-10-29", "2012-10-30", "2018-12-05", "2025-01-09"].map((date) =>
    Temporal.PlainDate.from(date)
  );
  const closed = [...MOURNING_AND_STORM];
  for (let year = 2012; year <= 2027; year++) {
    // A New Year's Day on Saturday is not kept: its Friday belongs to the year before.
    const newYear = day(year, 1, 1);
    if (newYear.dayOfWeek !== 6) closed.push(observed(newYear));
    closed.push(nth(year, 1, 1, 3), nth(year, 2, 1, 3), easter(year).subtract({ days: 2 }), nth(year, 5, 1, -1));
    if (year >= 2022) closed.push(observed(day(year, 6, 19)));
    closed.push(observed(day(year, 7, 4)), nth(year, 9, 1, 1), nth(year, 11, 4, 4), observed(day(year, 12, 25)));
  }
  assert.deepEqual(datesOf(CALENDARS["us-equities"].closed), texts(closed));
});

Deno.test("early closes of the United States are those of the exchanges' rule", options, () => {
  const { closed, special } = CALENDARS["us-equities"];
  const isOpen = (date: Temporal.PlainDate) => isWeekday(date) && !datesOf(closed).includes(String(date));
  const early = [];
  for (let year = 2012; year <= 2027; year++) {
    // The eve of the Fourth and of Christmas where the day itself is a weekday, and the Friday of Thanksgiving.
    if (isWeekday(day(year, 7, 4))) early.push(day(year, 7, 3));
    early.push(nth(year, 11, 4, 4).add({ days: 1 }), day(year, 12, 24));
  }
  assert.deepEqual(special.flatMap(({ dates }) => datesOf(dates)), texts(early.filter(isOpen)));
});

Deno.test(
  "closed dates of ICE Endex are New Year, Easter and Christmas; their eves and days in lieu are not known",
  options,
  () => {
    const closed = [], unsure = [];
    for (let year = 2014; year <= 2027; year++) {
      const newYear = day(year, 1, 1);
      const sunday = easter(year);
      closed.push(newYear, sunday.subtract({ days: 2 }), sunday.add({ days: 1 }), day(year, 12, 25), day(year, 12, 26));
      if (newYear.dayOfWeek === 7) unsure.push(day(year, 1, 2));
      unsure.push(day(year, 12, 24), day(year, 12, 31));
    }
    assert.deepEqual(datesOf(CALENDARS["ice-endex"].closed), texts(closed.filter(isWeekday)));
    assert.deepEqual(datesOf(CALENDARS["ice-endex"].unsure), texts(unsure.filter(isWeekday)));
    // Traded in lieu of nothing.
    assert.equal(openCalendar("ice-endex").sessionsOf("2021-12-27").length, 1);
  },
);

Deno.test(
  "India's exchange rests on the dates that are fixed, and in each year as often as its circulars say",
  options,
  () => {
    const closed = datesOf(CALENDARS.nse.closed);
    for (let year = 2012; year <= 2026; year++) {
      const fixed = [day(year, 1, 26), day(year, 5, 1), day(year, 8, 15), day(year, 10, 2), day(year, 12, 25)];
      for (const date of [...fixed, easter(year).subtract({ days: 2 })].filter(isWeekday)) {
        assert.ok(closed.includes(String(date)), String(date));
      }
    }
    const counts = Object.values(CALENDARS.nse.closed).map((days) => days.split(" ").length);
    assert.deepEqual(counts, [14, 13, 18, 14, 15, 12, 15, 17, 12, 13, 12, 15, 16, 13, 16]);
  },
);

Deno.test("India's exchange opens for budgets, Muhurat and trials, whatever the weekday", options, () => {
  const calendar = openCalendar("nse");
  const weekends = [...Array(15 * 366).keys()].map((days) => day(2012, 1, 1).add({ days })).filter((date) =>
    !isWeekday(date) && calendar.knows(String(date)) && calendar.sessionsOf(String(date)).length > 0
  );
  assert.deepEqual(weekends.map(String), [
    ...["2012-04-28", "2014-03-22", "2015-02-28", "2016-10-30", "2019-10-27", "2020-02-01", "2020-11-14"],
    ...["2023-11-12", "2024-01-20", "2024-03-02", "2024-05-18", "2025-02-01", "2026-02-01"],
  ]);
  // Diwali brings one evening, or afternoon, a year; of 2013 and 2026 nobody says when.
  for (let year = 2012; year <= 2026; year++) {
    const muhurat = CALENDARS.nse.special.filter(({ hours }) => hours.some(([, opens]) => opens > "13:00"))
      .flatMap(({ dates }) => datesOf(dates)).filter((date) => date.startsWith(`${year}-1`));
    assert.equal(muhurat.length, year === 2013 || year === 2026 ? 0 : 1, String(year));
  }
});
