import { ROLES } from '../../api/route.ts';
import { UsageError } from '../frame.ts';
import { answer, type PlayerCommand } from './command.ts';

export const role: PlayerCommand = {
  usage: `ID ${ROLES.join('|')}`,
  help: 'gives a registered account a role; its sign-ins end',
  operands: 1,
  async run(context, playerId, [wanted]) {
    const found = ROLES.find((known) => known === wanted);
    if (found === undefined) throw new UsageError(`A role is one of ${ROLES.join(', ')}.`);
    const isChanged = await context.accounts.setRole(playerId, 'operator', found);
    const text = isChanged
      ? `${playerId} is ${found} now and has to sign in again.`
      : `${playerId} was ${found} already.`;
    return answer(context, { playerId, role: found, isChanged }, text);
  },
};
