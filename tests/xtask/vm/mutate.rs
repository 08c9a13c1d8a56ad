//! Ways to break it that the suite has to notice: each is an edit of a copy of the project, which packages and programs are then made of.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use lab::package::Order;

use crate::cargo::{self, cargo};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mutation {
    /// The helper's unit lacks a capability.
    UnitDirective,
    /// The package does not ask for polkit.
    MissingDependency,
    /// The warden hides single files of /etc instead of the folder.
    FileMask,
    /// The helper makes the link on the host and moves it.
    MovedLink,
}

/// One edit: the text is there once.
struct Edit {
    file: &'static str,
    from: &'static str,
    to: &'static str,
    /// What has to be built anew.
    program: Option<&'static str>,
}

impl Edit {
    /// The file's text with the edit.
    fn changed(&self, project: &Path) -> Result<String> {
        let text = fs::read_to_string(project.join(self.file))?;
        ensure!(
            text.matches(self.from).count() == 1,
            "{} is not what it was when it was to be broken: tests/xtask/vm/mutate.rs",
            self.file
        );
        Ok(text.replace(self.from, self.to))
    }
}

impl Mutation {
    fn edit(self) -> Edit {
        match self {
            Self::UnitDirective => Edit {
                file: "data/systemd/lonewire-helper.service",
                from: "CapabilityBoundingSet=CAP_NET_ADMIN CAP_SYS_ADMIN\n",
                to: "CapabilityBoundingSet=CAP_NET_ADMIN\n",
                program: None,
            },
            Self::MissingDependency => Edit {
                file: "data/packaging/deb/lonewire/control",
                from: " polkitd | policykit-1,",
                to: "",
                program: None,
            },
            Self::FileMask => Edit {
                file: "helper/warden/src/mounts.rs",
                from: "    attach(&small_tmpfs(\"1m\")?, STAGE)?;\n    // The mode of the upper",
                to: "    if STAGE == \"/sys\" {\n        let there = std::fs::read_to_string(\"/etc/nsswitch.conf\").at(Stage::Etc)?;\n        \
                    std::fs::write(\"/run/nsswitch.conf\", nsswitch(&there)).at(Stage::Etc)?;\n        \
                    for (from, name) in [(DNS_INSIDE, \"resolv.conf\"), (DNS_INSIDE, \"hosts\"), (\"/run\", \"nsswitch.conf\")] {\n            \
                    mount_bind_recursive(Path::new(from).join(name), Path::new(\"/etc\").join(name)).at(Stage::Etc)?;\n        }\n        \
                    return Ok(());\n    }\n    attach(&small_tmpfs(\"1m\")?, STAGE)?;\n    // The mode of the upper",
                program: Some("lonewire-warden"),
            },
            Self::MovedLink => Edit {
                file: "helper/src/sys/links.rs",
                from: "            .setns_by_fd(namespace.fd.as_raw_fd())\n            .build();\n        \
                    match host.handle.link().add(message).execute().await {\n            Ok(()) => Ok(()),",
                to: "            .build();\n        match host.handle.link().add(message).execute().await {\n            Ok(()) => {\n                \
                    let index = host.index(link).await?.unwrap_or_default();\n                \
                    let moved = LinkUnspec::new_with_index(index).setns_by_fd(namespace.fd.as_raw_fd()).build();\n                \
                    host.handle.link().set(moved).execute().await.map_err(refused(\"RTM_SETLINK\"))\n            }",
                program: Some("lonewire-helper"),
            },
        }
    }

    /// The test that is about it: that others fail says only that something is wrong.
    pub fn noticed_by(self) -> &'static str {
        match self {
            Self::UnitDirective | Self::MovedLink => {
                "first::the_main_job_goes_through_the_kernels_wireguard_whose_link_the_host_never_sees"
            }
            Self::MissingDependency => {
                "first::polkit_asks_for_a_password_where_nobody_is_at_the_screen"
            }
            Self::FileMask => "first::names_go_to_the_tunnel_though_resolved_nscd_and_avahi_run",
        }
    }

    /// That each can still be made: the text of the project moves on.
    ///
    /// # Errors
    /// One cannot.
    pub fn all_fit(project: &Path) -> Result<()> {
        for mutation in Self::value_variants() {
            mutation.edit().changed(project)?;
        }
        Ok(())
    }

    /// What it does, for people.
    pub fn told(self) -> String {
        let Edit { file, .. } = self.edit();
        format!(
            "{} in {file}",
            self.to_possible_value()
                .map_or_else(String::new, |value| value.get_name().to_owned())
        )
    }

    /// The order for packages of a project that has the edit, in a folder.
    ///
    /// # Errors
    /// What is edited is not there any more, or does not build.
    pub fn apply(self, order: &Order, folder: &Path, release: bool) -> Result<Order> {
        let edit = self.edit();
        let project = folder.join("project");
        fs::create_dir(&project)?;
        for entry in fs::read_dir(&order.project)? {
            let name = entry?.file_name();
            if name != "target" && name != ".git" {
                cargo::run(
                    Command::new("cp")
                        .arg("-a")
                        .arg(order.project.join(name))
                        .arg(&project),
                )?;
            }
        }
        fs::write(project.join(edit.file), edit.changed(&project)?)?;

        // The other programs are as they were.
        let programs = folder.join("programs");
        fs::create_dir(&programs)?;
        for entry in fs::read_dir(&order.programs)? {
            let entry = entry?;
            if edit.program.is_none_or(|name| *entry.file_name() != *name) {
                symlink(entry.path(), programs.join(entry.file_name()))?;
            }
        }
        if let Some(name) = edit.program {
            // Of its own: what cargo finds in that of the project it would take for the project's.
            let target = lab::programs::target()?.join("mutated");
            let mut command = cargo();
            command
                .current_dir(&project)
                .args(["build", "--quiet", "--package", name, "--bin", name])
                .arg("--target-dir")
                .arg(&target);
            if release {
                command.arg("--release");
            }
            let host = cargo::host()?;
            // As all of them are built: only the warden has to be static.
            let mut made = target;
            let is_static = name == "lonewire-warden";
            cargo::flags(&mut command, release, is_static);
            if is_static {
                command.args(["--target", &host]);
                made.push(&host);
            }
            cargo::run(&mut command)?;
            let profile = if release { "release" } else { "debug" };
            let made = made.join(profile).join(name);
            fs::copy(&made, programs.join(name)).with_context(|| made.display().to_string())?;
        }
        Ok(Order {
            project,
            programs,
            ..order.clone()
        })
    }
}
