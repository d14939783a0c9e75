//! Django: `python manage.py test`. Its summary is unittest's.

use std::path::Path;

use super::{BuildTool, Evidence, Invocation, PlanNote, TestRunner, TestedProject};
use crate::ci::project_files::read_text;
use crate::phase::PhaseCi;

/// The runner.
pub(crate) struct Django;

impl TestRunner for Django {
    fn name(&self) -> &'static str {
        "django"
    }

    fn manifests(&self) -> &'static [&'static str] {
        &["manage.py"]
    }

    /// Without pytest-django, pytest would not set Django up.
    fn detect(&self, dir: &Path) -> Option<Evidence> {
        let is_django = read_text(dir, "manage.py").contains("DJANGO_SETTINGS_MODULE");
        is_django.then_some(Evidence::Configured)
    }

    fn typed(&self, _dir: &Path) -> String {
        "python manage.py test".to_owned()
    }

    fn python_modules(&self) -> &'static [&'static str] {
        &["django"]
    }

    fn invocation(
        &self,
        project: &TestedProject<'_>,
        phase: &PhaseCi,
    ) -> Result<Invocation, PlanNote> {
        let python =
            project.python.as_ref().map_or(&project.default_python, |found| &found.program);
        let words = [python, "manage.py", "test", "--noinput", "-v", "2"];
        Ok(Invocation::new(&words, &phase.args))
    }

    fn build_tools(&self) -> &'static [BuildTool] {
        &[BuildTool::Python]
    }
}
