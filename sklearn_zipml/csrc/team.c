#include "team.h"

#include "format/compiler.h"

#if defined(__GNUC__)
#include <sched.h>
#define ADD(place, value) __atomic_fetch_add(&(place), (value), __ATOMIC_RELAXED)
#define LOAD(place) __atomic_load_n(&(place), __ATOMIC_ACQUIRE)
#define STORE(place, value) __atomic_store_n(&(place), (value), __ATOMIC_RELEASE)
#else
#define ADD(place, value) ((place) += (value))
#define LOAD(place) (place)
#define STORE(place, value) ((place) = (value))
#endif

/* Looks at another's seat before the processor is offered to whoever needs it: some tens of microseconds. */
enum { PATIENCE = 1 << 12 };

/* Times that members may be late before the team is given up, and rounds that allow for another one: the system takes
 * every processor away now and then, while a member without one is late in nearly every round. */
enum { MOST_LATE = 4, ROUNDS_PER_LATE = 256 };

static void relax(int looks) {
#if defined(__GNUC__)
  if (looks > PATIENCE)
    sched_yield();
#if defined(__x86_64__)
  else
    __builtin_ia32_pause();
#elif defined(__aarch64__)
  else
    __asm__ volatile("yield");
#endif
#else
  (void)looks;
#endif
}

int zml_has_teams(void) {
#if defined(__GNUC__)
  return 1;
#else
  return 0;
#endif
}

void zml_open_team(zml_team *team, int size) {
  for (int member = 0; member < ZML_TEAM_MOST; member++)
    team->seats[member].round = 0;
  team->size = size;
  team->stopped = 0;
  team->late = team->last_round = 0;
}

int zml_meet(zml_team *team, int member, uint32_t round) {
  if (member == 0 && LOAD(team->late) > MOST_LATE + round / ROUNDS_PER_LATE && LOAD(team->last_round) == 0)
    STORE(team->last_round, round);
  STORE(team->seats[member].round, round);
  for (int other = 0; other < team->size; other++) {
    int looks = 0;
    for (; (int32_t)(LOAD(team->seats[other].round) - round) < 0; looks += looks <= PATIENCE) {
      if (LOAD(team->stopped))
        return 0;
      relax(looks);
    }
    if (looks > PATIENCE)
      ADD(team->late, 1);
  }
  return 1;
}

void zml_stop_team(zml_team *team) { STORE(team->stopped, 1); }
