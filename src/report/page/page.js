// Filters, zoom, and details of bars and points. The page is readable without this script.
'use strict';
(() => {
  const $ = id => document.getElementById(id);
  const list = $('list'), phases = [...list.children];

  // Search and filters.
  const search = $('search'), state = $('state'), category = $('category'), found = $('found'), toggle = $('toggle');
  let texts = null;
  const text = at => (texts ||= phases.map(phase => phase.textContent.toLowerCase()))[at];
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    phases.forEach((phase, at) => {
      const hit = (state.value === '*' || phase.dataset.s === state.value) &&
        (category.value === '*' || phase.dataset.c === category.value) &&
        words.every(word => text(at).includes(word));
      if (phase.hidden === hit) phase.hidden = !hit;
      shown += hit;
    });
    found.textContent = shown === phases.length ? `${shown} phases` : `${shown} of ${phases.length} phases`;
  };
  let waiting = 0;
  search.addEventListener('input', () => { clearTimeout(waiting); waiting = setTimeout(filter, 60); });
  state.addEventListener('change', filter);
  category.addEventListener('change', filter);
  $('filter').addEventListener('submit', event => { event.preventDefault(); filter(); });
  toggle.addEventListener('click', () => {
    const open = toggle.textContent === 'Open all';
    phases.forEach(phase => { if (!phase.hidden) phase.open = open; });
    toggle.textContent = open ? 'Close all' : 'Open all';
  });
  document.addEventListener('keydown', event => {
    const typing = /^(input|select|textarea)$/i.test(event.target.tagName);
    if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
    } else if (event.key === 'Escape' && event.target === search) {
      search.value = '';
      filter();
    }
  });

  // A link to a phase opens the phase regardless of filters.
  const show = id => {
    const phase = /^p\d+$/.test(id) && $(id);
    if (!phase) return;
    phase.hidden = false;
    phase.open = true;
    phase.scrollIntoView({ block: 'start' });
    phase.querySelector('summary').focus({ preventScroll: true });
  };
  addEventListener('hashchange', () => show(location.hash.slice(1)));

  // Details of a bar or a point: on hover, and with a link on click.
  const tell = (id, element, link) => {
    const readout = $(`${id}-readout`), title = element.querySelector('title');
    readout.textContent = title ? title.textContent : '';
    if (link && title) {
      const to = document.createElement('a');
      to.href = `#p${element.dataset.p}`;
      to.textContent = 'show the phase';
      readout.append(' · ', to);
    }
  };
  let chosen = null;
  for (const id of ['timeline', 'scatter']) {
    const picture = $(id);
    if (!picture) continue;
    picture.addEventListener('pointerover', event => {
      const element = event.target.closest('[data-p]');
      if (element && element !== chosen) tell(id, element, false);
    });
    picture.addEventListener('click', event => {
      chosen = event.target.closest('[data-p]');
      if (chosen) tell(id, chosen, true);
    });
  }

  // Zoom: widths are in percent, so only the picture's width changes.
  const scroll = $('scroll'), picture = $('timeline');
  let zoom = 1;
  const scale = (next, at = scroll.clientWidth / 2) => {
    next = Math.min(256, Math.max(1, next));
    const point = (scroll.scrollLeft + at) / zoom;
    zoom = next;
    picture.style.width = `${zoom * 100}%`;
    picture.setAttribute('class', zoom >= 64 ? 'z64' : zoom >= 16 ? 'z16' : zoom >= 4 ? 'z4' : 'z1');
    scroll.scrollLeft = point * zoom - at;
  };
  if (picture) {
    $('zoom').hidden = false;
    $('zoom-in').addEventListener('click', () => scale(zoom * 2));
    $('zoom-out').addEventListener('click', () => scale(zoom / 2));
    $('zoom-fit').addEventListener('click', () => scale(1));
    scroll.addEventListener('keydown', event => {
      const factor = { '+': 2, '=': 2, '-': .5 }[event.key];
      if (factor) { event.preventDefault(); scale(zoom * factor); }
    });
    scroll.addEventListener('wheel', event => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      scale(zoom * (event.deltaY < 0 ? 1.25 : .8), event.clientX - scroll.getBoundingClientRect().left);
    }, { passive: false });
  }

  // A hint above each table that is wider than the screen.
  const hint = () => document.querySelectorAll('.wide').forEach(table =>
    table.classList.toggle('over', table.scrollWidth > table.clientWidth));
  addEventListener('resize', hint);
  list.addEventListener('toggle', hint, true);
  hint();

  addEventListener('beforeprint', () => phases.forEach(phase => { if (phase.dataset.s === 'failed') phase.open = true; }));

  $('filter').hidden = false;
  filter();
  show(location.hash.slice(1));
  document.documentElement.dataset.readyMs = Math.round(performance.now());
})();
