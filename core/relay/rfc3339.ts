/**
 * Instants as texts such as `2026-01-31T12:00:00Z` (RFC 3339), without a host's calendar.
 *
 * The invariant to hold: what is no instant of the proleptic Gregorian calendar gives `undefined`; what is written is
 * read back as the same millisecond.
 *
 * @module
 */

const FORM = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** Days of 400 years, and days before 1970 counted from the first of March of the year 0. */
const ERA_DAYS = 146_097;
const EPOCH_DAYS = 719_468;
/** The last instant that four digits of a year can tell: 9999-12-31T23:59:59.999Z. */
const UNIX_MS_MAX = 253_402_300_799_999;

/** Writes milliseconds since 1970 in UTC. Throws `RangeError` outside the years 1970 to 9999. */
export function formatRfc3339(unixMs: number): string {
  if (!(unixMs >= 0 && unixMs <= UNIX_MS_MAX)) throw new RangeError(`Cannot write an instant as it is ${unixMs}`);
  const whole = Math.floor(unixMs);
  const { year, month, day } = dateOf(Math.floor(whole / DAY_MS));
  const ms = whole % DAY_MS;
  const date = `${padded(year, 4)}-${padded(month, 2)}-${padded(day, 2)}`;
  const hours = padded(Math.floor(ms / HOUR_MS), 2);
  const minutes = padded(Math.floor((ms % HOUR_MS) / MINUTE_MS), 2);
  const seconds = padded(Math.floor((ms % MINUTE_MS) / 1000), 2);
  const fraction = ms % 1000 === 0 ? "" : `.${padded(ms % 1000, 3)}`;
  return `${date}T${hours}:${minutes}:${seconds}${fraction}Z`;
}

/** The milliseconds since 1970 of a text, or `undefined` when it is no instant from then on. */
export function parseRfc3339(text: string): number | undefined {
  const match = FORM.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as Six;
  const isTime = hour < 24 && minute < 60 && second < 61; // RFC 3339 §5.7: a leap second is 60.
  if (!isTime || month < 1 || month > 12 || day < 1 || day > daysOfMonth(year, month)) return undefined;
  const [fraction = "", sign, offsetHour = "0", offsetMinute = "0"] = match.slice(7);
  if (Number(offsetHour) > 23 || Number(offsetMinute) > 59) return undefined;
  const offsetMs = (Number(offsetHour) * HOUR_MS + Number(offsetMinute) * MINUTE_MS) * (sign === "-" ? -1 : 1);
  const fractionMs = Number(fraction.padEnd(3, "0").slice(0, 3));
  const unixMs =
    daysOf(year, month, day) * DAY_MS + hour * HOUR_MS + minute * MINUTE_MS + second * 1000 + fractionMs - offsetMs;
  return unixMs >= 0 && unixMs <= UNIX_MS_MAX ? unixMs : undefined;
}

type Six = [number, number, number, number, number, number];

/** Days since 1970. Years begin in March here, so that a leap day is the last of its year. */
function daysOf(year: number, month: number, day: number): number {
  const shifted = month > 2 ? year : year - 1;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * ERA_DAYS + dayOfEra - EPOCH_DAYS;
}

function dateOf(days: number): { readonly year: number; readonly month: number; readonly day: number } {
  const shifted = days + EPOCH_DAYS;
  const era = Math.floor(shifted / ERA_DAYS);
  const dayOfEra = shifted - era * ERA_DAYS;
  const leaps = Math.floor(dayOfEra / 1460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / (ERA_DAYS - 1));
  const yearOfEra = Math.floor((dayOfEra - leaps) / 365);
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
  };
}

function daysOfMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, "0");
}
