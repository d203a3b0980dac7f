import { BAN_REASONS } from '../../events/account-events.ts';
import { UsageError } from '../frame.ts';
import { answer, type PlayerCommand } from './command.ts';

export const ban: PlayerCommand = {
  usage: `ID --reason ${BAN_REASONS.join('|')} [--until TIME]`,
  help: 'bans, for good or until a time such as 2026-12-31T18:00:00Z; shown out of its match within 5 s',
  options: { reason: { type: 'string' }, until: { type: 'string' } },
  async run(context, playerId, _operands, { reason, until }) {
    const found = BAN_REASONS.find((known) => known === reason);
    if (found === undefined) throw new UsageError(`--reason is one of ${BAN_REASONS.join(', ')}.`);
    const untilMs = until === undefined ? null : Date.parse(String(until));
    if (Number.isNaN(untilMs)) throw new UsageError('--until is a time such as 2026-12-31T18:00:00Z.');
    if (untilMs !== null && untilMs <= Date.now()) throw new UsageError('--until is in the past.');
    await context.accounts.ban(playerId, 'operator', found, untilMs);
    const end = untilMs === null ? 'for good' : `until ${new Date(untilMs).toISOString()}`;
    return answer(context, { playerId, reason: found, untilMs }, `${playerId} is banned ${end}.`);
  },
};

export const unban: PlayerCommand = {
  usage: 'ID',
  help: 'lifts a ban',
  async run(context, playerId) {
    const wasBanned = await context.accounts.unban(playerId, 'operator');
    return answer(context, { playerId, wasBanned }, wasBanned ? `${playerId} may play again.` : 'There was no ban.');
  },
};
