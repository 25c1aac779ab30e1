/* A team of threads that work on one epoch in lockstep: they meet once a batch, where all see what all wrote before. */
#ifndef ZML_TEAM_H
#define ZML_TEAM_H

#include <stdint.h>

enum { ZML_TEAM_MOST = 64 };

/* A member's last round, two cache lines from the next one's: they are fetched in pairs. */
typedef struct {
  volatile uint32_t round;
  char padding[124];
} zml_seat;

typedef struct {
  zml_seat seats[ZML_TEAM_MOST];
  int size;
  volatile int stopped;
  volatile uint32_t late;       /* times a member waited so long that another must have lost its processor */
  volatile uint32_t last_round; /* after which member 0 goes on alone; 0 for none yet */
} zml_team;

/* Whether teams of more than one member are possible where this was compiled. */
int zml_has_teams(void);

void zml_open_team(zml_team *team, int size);

/* Wait until all members have come to `round`, the next number after their last one. 0 if the team was stopped.
 *
 * Where processors are short, lockstep is many times slower than one thread: member 0 then lets the others go, which
 * all see in last_round after that round. */
int zml_meet(zml_team *team, int member, uint32_t round);

/* Let all members that wait or will wait leave. */
void zml_stop_team(zml_team *team);

#endif
