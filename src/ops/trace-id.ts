/**
 * The id under which what one request started is found again, in every log it leaves a line in: that of the caller, if it
 * sent one (W3C Trace Context), else one that is made here.
 */
import { randomBytes } from 'node:crypto';

/** Version 00 is read; later ones begin with the same fields. `ff` is none. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)/;

/**
 * @param traceparent the header of that name; what is no such header is taken for none
 * @returns 32 lower-case hexadecimal digits
 */
export function traceIdOf(traceparent: string | null | undefined): string {
  // Bounded before it is looked at: it comes from anybody.
  const found = TRACEPARENT.exec((traceparent ?? '').slice(0, 256));
  return found?.[1] ?? randomBytes(16).toString('hex');
}
