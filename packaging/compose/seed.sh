#!/bin/bash
# Once before the workers: a bare repository with the project of the demo, and the demo's plan as a run. Does nothing for a
# repository of your own, or if the run is there.
set -eu

demo=/srv/git/demo.git
if [ "$AUTOPACK_REMOTE" != "$demo" ]; then
  echo "the repository is $AUTOPACK_REMOTE: no demo is set up"
  exit 0
fi

if [ ! -e "$demo/seeded" ]; then
  rm -rf "$demo" project
  git init --quiet --bare --initial-branch main "$demo"
  cp -R /demo/project project
  git -C project init --quiet --initial-branch main
  git -C project add --all
  git -C project -c user.name=Demo -c user.email=demo@example.com commit --quiet --message "A small real project"
  git -C project push --quiet "$demo" main
  rm -rf project
  touch "$demo/seeded"
fi

[ -e .git ] || git clone --quiet "$demo" .
# The plan is the same each time, so a second import changes nothing.
autopack import --update --run-id "$AUTOPACK_RUN" /demo/plan.yaml
