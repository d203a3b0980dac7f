/**
 * Time limits that are fair after a stall. When the event loop has stood still (a collection, a large module, a machine
 * with too much to do), timers that came due meanwhile fire before anything is read, and a plain one would say that
 * there was no answer although it lies in the socket, or that a question was not answered that was never sent.
 */

/** A limit is counted in so many parts: of a stall, however long, at most one of them counts. */
const PARTS = 4;
/** Turns of the event loop, each of which reads what has arrived, before a limit counts as passed: an answer may take two. */
const TURNS = 2;

/** Nobody answered in time; what came of the question is unknown. */
export class OutOfTime extends Error {
  constructor(ms: number) {
    super(`no answer in ${Math.round(ms)} ms`);
    this.name = 'OutOfTime';
  }
}

/**
 * Calls `late` after so many ms in which this process could have heard an answer.
 * @returns what ends it before; idempotent
 */
export function limitTime(ms: number, late: () => void): () => void {
  let partsLeft = PARTS;
  let turnsLeft = TURNS;
  let turn: NodeJS.Immediate | undefined;
  const read = (): void => {
    if (turnsLeft-- > 0) turn = setImmediate(read);
    else late();
  };
  const timer = setTimeout(() => {
    if (--partsLeft > 0) timer.refresh();
    else read();
  }, Math.max(ms, 0) / PARTS);
  return () => {
    clearTimeout(timer);
    clearImmediate(turn);
  };
}

/**
 * What `work` comes to, if in time.
 * @param late called first when it is not, to let go of what the work holds
 * @throws OutOfTime; what `work` rejects with
 */
export function within<T>(work: Promise<T>, ms: number, late?: () => void): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const done = limitTime(ms, () => {
      late?.();
      reject(new OutOfTime(ms));
    });
    // Whichever is second has nobody to tell.
    work.finally(done).then(resolve, reject);
  });
}
