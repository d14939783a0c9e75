// What somebody would do with a report's page, and what came of it, left where a test can read it.
'use strict';
(() => {
  const $ = id => document.getElementById(id);
  const phases = [...$('list').children], search = $('search'), state = $('state');
  const result = { ready_ms: Number(document.documentElement.dataset.readyMs), phases: phases.length, errors: [] };
  const check = (what, holds) => { if (!holds) result.errors.push(what); };
  const visible = () => phases.filter(phase => !phase.hidden).length;
  result.landed = JSON.parse($('summary').textContent).phases.landed;

  const started = performance.now();
  const look_for = words => {
    search.value = words;
    $('filter').requestSubmit();
  };
  const choose = option => {
    state.value = option;
    state.dispatchEvent(new Event('change'));
  };
  look_for('no such words anywhere');
  check('a search for nothing finds nothing', visible() === 0);
  const last = phases[phases.length - 1];
  look_for(last ? last.querySelector('b').textContent : '');
  check('a search for a name finds its phase', !last || !last.hidden);
  result.found = visible();
  look_for('');
  if (state.options.length > 1) {
    choose(state.options[1].value);
    const expected = phases.filter(phase => phase.dataset.s === state.value).length;
    check('the filter by state shows that state', visible() === expected);
    choose('*');
  }
  check('without a filter all are shown', visible() === phases.length);
  result.search_ms = performance.now() - started;

  const picture = $('timeline');
  if (picture) {
    for (let n = 0; n < 4; n++) $('zoom-in').click();
    check('the timeline grows', picture.getBoundingClientRect().width > $('scroll').clientWidth * 8);
    $('zoom-fit').click();
  }
  check('nothing was loaded', performance.getEntriesByType('resource').length === 0);
  check('the page is no wider than its window', document.documentElement.scrollWidth <= innerWidth + 1);
  document.documentElement.dataset.selftest = JSON.stringify(result);
})();
