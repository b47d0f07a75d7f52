# `vagrant up` of the lab in FOLDER by Vagrant's own VirtualBox provider, with the VBoxManage of this machine. What was
# called and what came of it is printed as JSON.
#
# Vagrant 2.3 takes no VirtualBox newer than 7.0. It is told here that it has 7.0, so that its newest driver speaks to
# whatever VBoxManage is there; Vagrant 2.4.9 knows 7.2 and gives it that same driver.
#
#     ruby virtualbox_up.rb FOLDER BOX
require "json"
require "log4r"
require "vagrant"
require "vagrant/bundler"
require "vagrant/ui"
require Vagrant.source_root.join("plugins/providers/virtualbox/plugin")
require Vagrant.source_root.join("plugins/providers/virtualbox/driver/meta")

folder, box = ARGV
$VERBOSE = nil
CALLS = []
FOUND = []
WARNED = []

VagrantPlugins::ProviderVirtualBox::Driver::Meta.prepend(Module.new do
  def read_version
    FOUND << super
    "7.0"
  end
end)
VagrantPlugins::ProviderVirtualBox::Driver::Base.prepend(Module.new do
  def raw(*command, &block)
    CALLS << command.grep_v(Hash).map(&:to_s)
    super.tap { |result| WARNED.concat(result.stderr.lines.grep(/deprecated|warning/i)) }
  end
end)

# What VirtualBox has noted of a machine: what it tells of it, and its settings file, where the rest stands.
def state_of(machine)
  return {} unless machine.id

  told = machine.provider.driver.execute_command(["showvminfo", machine.id, "--machinereadable"]).lines.to_h do |line|
    key, _, value = line.chomp.partition("=")
    [key.delete('"'), value.delete('"')]
  end
  { "told" => told, "settings" => File.read(told["CfgFile"]) }
end

# Why it does not start: VBoxManage tells only that it did not.
def reason(machine)
  Vagrant::Util::Subprocess.execute("VBoxHeadless", "--startvm", machine.id).stderr
end

env = Vagrant::Environment.new(cwd: folder, ui_class: Vagrant::UI::Silent)
env.action_runner.run(Vagrant::Action.action_box_add, box_name: "labctl/node", box_url: box, box_provider: "virtualbox")
up = env.machine_names.to_h do |name|
  machine = env.machine(name, :virtualbox)
  begin
    machine.action(:up, destroy_on_error: false, provision_enabled: false)
    failed = nil
  rescue Vagrant::Errors::VagrantError => e
    failed = { "error" => e.class.name, "says" => e.message, "because" => machine.id && reason(machine) }
  end
  [name, { "failed" => failed, "vm" => state_of(machine) }]
end
env.machine_names.each { |name| env.machine(name, :virtualbox).action(:destroy, force_confirm_destroy: true) }
left = VagrantPlugins::ProviderVirtualBox::Driver::Meta.new.read_vms.keys
puts JSON.generate("version" => FOUND.first, "calls" => CALLS, "warned" => WARNED, "machines" => up, "left" => left)
