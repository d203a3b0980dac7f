/** CPU time of other processes, from the kernel's own books. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

let ticksPerSecond: number | undefined;

/**
 * CPU time that all threads of a process have used so far, user and system, ms. Resolution 10 ms.
 * @throws Error where there is no /proc, or no such process
 */
export function processCpuMs(pid: number): number {
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return (parseStatTicks(readFileSync(`/proc/${pid}/stat`, 'latin1')) * 1000) / ticksPerSecond;
}

/** utime + stime of a /proc/PID/stat line; the command in parentheses may itself hold spaces and parentheses. */
export function parseStatTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
