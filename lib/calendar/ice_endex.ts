/**
 * Futures on gas at the Dutch hub TTF, as ICE Endex trades them, on Amsterdam's clock. What is delivered for them goes by
 * another day, `gasDay`.
 *
 * | what                      | source, as of November 2026                                                           | years     |
 * |---------------------------|---------------------------------------------------------------------------------------|-----------|
 * | 08:00 to 18:00            | the exchange's page of the contract, one copy of 2021; that it was so for long, the press of 2026 | 2014-2026 |
 * | 01:50 to 24:00            | press of 2026-01-08 on the exchange's announcement, from 2026-02-23; its circular was not seen | 2026 |
 * | closed dates              | the rule of OpenSourceRisk's ICE::EndexEnergy; the exchange's trading schedule of 2023 | 2014-2027 |
 * | no day in lieu of 26 December | trades of 2021-12-27 in the press, against that rule                              |           |
 *
 * Not known: when 24 and 31 December end early, and the Monday after a New Year's Day on Sunday: that rule says closed,
 * but was wrong on the other day in lieu. Of 2027 there is the rule alone and the hours now in force: no schedule was seen.
 * Before 2014 gas was traded at APX-ENDEX, whose hours were not found.
 */
import type { Schedule } from "./schedule.ts";

export const ICE_ENDEX: Schedule = {
  zone: "Europe/Amsterdam",
  covers: { from: "2014-01-01", to: "2027-12-31" },
  regimes: [
    { since: "2014-01-01", weekdays: [1, 2, 3, 4, 5], hours: [["core", "08:00", "18:00"]] },
    { since: "2026-02-23", weekdays: [1, 2, 3, 4, 5], hours: [["core", "01:50", "24:00"]] },
  ],
  // New Year's Day, Good Friday, Easter Monday, and both days of Christmas.
  closed: {
    2014: "01-01 04-18 04-21 12-25 12-26",
    2015: "01-01 04-03 04-06 12-25",
    2016: "01-01 03-25 03-28 12-26",
    2017: "04-14 04-17 12-25 12-26",
    2018: "01-01 03-30 04-02 12-25 12-26",
    2019: "01-01 04-19 04-22 12-25 12-26",
    2020: "01-01 04-10 04-13 12-25",
    2021: "01-01 04-02 04-05",
    2022: "04-15 04-18 12-26",
    2023: "04-07 04-10 12-25 12-26",
    2024: "01-01 03-29 04-01 12-25 12-26",
    2025: "01-01 04-18 04-21 12-25 12-26",
    2026: "01-01 04-03 04-06 12-25",
    2027: "01-01 03-26 03-29",
  },
  special: [],
  unsure: {
    2014: "12-24 12-31",
    2015: "12-24 12-31",
    2017: "01-02",
    2018: "12-24 12-31",
    2019: "12-24 12-31",
    2020: "12-24 12-31",
    2021: "12-24 12-31",
    2023: "01-02",
    2024: "12-24 12-31",
    2025: "12-24 12-31",
    2026: "12-24 12-31",
    2027: "12-24 12-31",
  },
};
