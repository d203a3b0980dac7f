import { banAt } from '../../accounts/account.ts';
import { safe } from '../frame.ts';
import { answer, type PlayerCommand } from './command.ts';

export const show: PlayerCommand = {
  usage: 'ID',
  help: 'name, role and ban of an account; no e-mail',
  async run(context, playerId) {
    const { account, person, createdAtMs } = await context.accounts.inspect(playerId);
    const { isErased, isAnonymous, role } = account;
    const ban = banAt(account, Date.now()) ?? null;
    const until =
      ban === null ? '' : ban.untilMs === null ? 'for good' : `until ${new Date(ban.untilMs).toISOString()}`;
    const lines = [
      `player   ${playerId}`,
      `name     ${person.name === null ? '(none)' : safe(person.name)}`,
      `account  ${isErased ? 'erased' : isAnonymous ? 'anonymous' : 'registered'}, role ${role}`,
      `created  ${new Date(createdAtMs).toISOString()}`,
      `ban      ${ban === null ? '(none)' : `${ban.reason}, ${until}`}`,
    ];
    return answer(
      context,
      { playerId, name: person.name, isErased, isAnonymous, role, ban, createdAtMs },
      lines.join('\n'),
    );
  },
};
