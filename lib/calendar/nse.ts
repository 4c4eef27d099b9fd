/**
 * Shares on the National Stock Exchange of India, on India's clock. Since August 2026 those with derivatives are traded
 * continuously until 15:15 and auctioned until 15:35; what is said here is when the market as a whole is open.
 *
 * | what                    | source, as of November 2026                                                             | years     |
 * |-------------------------|-----------------------------------------------------------------------------------------|-----------|
 * | closed weekdays         | pandas_market_calendars 5.5.0 (NSE), held against nse_workday 0.0.9, exchange_calendars 4.13.2 (XBOM) and holidays 0.109 (XNSE); where they differ, as on closures that were called late, the first and one other agree | 2012-2026 |
 * | the same, and weekends  | dates of the exchange's own daily file of a share until 2013; nse_workday's exceptions    | 2012-2026 |
 * | hours of Muhurat        | pandas_market_calendars; 2016, 2019, 2020, 2023: the press on the exchange's circulars  | 2012-2025 |
 * | other special sessions  | circulars as brokers and the press carried them: 2012-04-28, 2014-03-22, budgets of 2015, 2020, 2025 and 2026, 2024-01-20, 2024-03-02, and 2024-05-18 as it was revised | 2012-2026 |
 * | 2021-02-24              | pandas_market_calendars: lines were down from 11:40 to 15:45, the day was made longer   |           |
 * | hours, closing auction  | the exchange's page of market timings; SEBI's circular on the auction from 2026-08-03   | 2012-2026 |
 *
 * Not known: the hours of four Saturdays and of Muhurat of 2013 and 2026, and every year whose list is not published yet.
 */
import type { Hours, Schedule } from "./schedule.ts";

const PRE: Hours = ["pre", "09:00", "09:15"];
const CORE: Hours = ["core", "09:15", "15:30"];
const POST: Hours = ["post", "15:40", "16:00"];

export const NSE: Schedule = {
  zone: "Asia/Kolkata",
  covers: { from: "2012-01-01", to: "2026-12-31" },
  regimes: [
    { since: "2012-01-01", weekdays: [1, 2, 3, 4, 5], hours: [PRE, CORE, POST] },
    { since: "2026-08-03", weekdays: [1, 2, 3, 4, 5], hours: [PRE, CORE, ["post", "15:30", "16:00"]] },
  ],
  closed: {
    2012: "01-26 02-20 03-08 04-05 04-06 05-01 08-15 08-20 09-19 10-02 10-24 11-14 11-28 12-25",
    2013: "03-27 03-29 04-19 04-24 05-01 08-09 08-15 09-09 10-02 10-16 11-04 11-15 12-25",
    2014: "02-27 03-17 04-08 04-14 04-18 04-24 05-01 07-29 08-15 08-29 10-02 10-03 10-06 10-15 10-24 11-04 11-06 12-25",
    2015: "01-26 02-17 03-06 04-02 04-03 04-14 05-01 09-17 09-25 10-02 10-22 11-12 11-25 12-25",
    2016: "01-26 03-07 03-24 03-25 04-14 04-15 04-19 07-06 08-15 09-05 09-13 10-11 10-12 10-31 11-14",
    2017: "01-26 02-24 03-13 04-04 04-14 05-01 06-26 08-15 08-25 10-02 10-20 12-25",
    2018: "01-26 02-13 03-02 03-29 03-30 05-01 08-15 08-22 09-13 09-20 10-02 10-18 11-08 11-23 12-25",
    2019: "03-04 03-21 04-17 04-19 04-29 05-01 06-05 08-12 08-15 09-02 09-10 10-02 10-08 10-21 10-28 11-12 12-25",
    2020: "02-21 03-10 04-02 04-06 04-10 04-14 05-01 05-25 10-02 11-16 11-30 12-25",
    2021: "01-26 03-11 03-29 04-02 04-14 04-21 05-13 07-21 08-19 09-10 10-15 11-05 11-19",
    2022: "01-26 03-01 03-18 04-14 04-15 05-03 08-09 08-15 08-31 10-05 10-26 11-08",
    2023: "01-26 03-07 03-30 04-04 04-07 04-14 05-01 06-29 08-15 09-19 10-02 10-24 11-14 11-27 12-25",
    2024: "01-22 01-26 03-08 03-25 03-29 04-11 04-17 05-01 05-20 06-17 07-17 08-15 10-02 11-15 11-20 12-25",
    2025: "02-26 03-14 03-31 04-10 04-14 04-18 05-01 08-15 08-27 10-02 10-22 11-05 12-25",
    2026: "01-15 01-26 03-03 03-26 03-31 04-03 04-14 05-01 05-28 06-26 09-14 10-02 10-20 11-10 11-24 12-25",
  },
  special: [
    // Budgets, and the Saturday that stood in for a Monday.
    {
      hours: [PRE, CORE, POST],
      dates: { 2015: "02-28", 2020: "02-01", 2024: "01-20", 2025: "02-01", 2026: "02-01" },
    },
    // The new hardware and the other site are tried.
    { hours: [["pre", "11:00", "11:15"], ["core", "11:15", "12:45"]], dates: { 2012: "04-28", 2014: "03-22" } },
    {
      hours: [PRE, ["core", "09:15", "10:00"], ["pre", "11:15", "11:30"], ["core", "11:30", "12:30"]],
      dates: { 2024: "03-02" },
    },
    {
      hours: [PRE, ["core", "09:15", "10:00"], ["pre", "11:30", "11:45"], ["core", "11:45", "12:40"]],
      dates: { 2024: "05-18" },
    },
    { hours: [PRE, ["core", "09:15", "11:40"], ["core", "15:45", "17:00"]], dates: { 2021: "02-24" } },
    // Muhurat, an hour on Diwali.
    { hours: [["core", "15:45", "17:00"]], dates: { 2012: "11-13" } },
    { hours: [["core", "17:45", "18:45"]], dates: { 2015: "11-11" } },
    { hours: [["pre", "17:15", "17:30"], ["core", "17:30", "18:30"]], dates: { 2018: "11-07" } },
    {
      hours: [["pre", "18:15", "18:30"], ["core", "18:30", "19:30"]],
      dates: { 2014: "10-23", 2016: "10-30", 2017: "10-19" },
    },
    {
      hours: [["pre", "18:00", "18:15"], ["core", "18:15", "19:15"]],
      dates: { 2019: "10-27", 2020: "11-14", 2021: "11-04", 2022: "10-24", 2023: "11-12" },
    },
    { hours: [["pre", "17:45", "18:00"], ["core", "18:00", "19:00"]], dates: { 2024: "11-01" } },
    { hours: [["core", "13:45", "14:45"]], dates: { 2025: "10-21" } },
  ],
  unsure: { 2012: "01-07 03-03 09-08", 2013: "05-11 11-03", 2026: "11-08" },
};
